"""Ports that are chosen for what is started later are nobody else's until then."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from tests import ports


class Chance:
    """One that hits on the same ports as everybody else."""

    def __init__(self, *hits: int) -> None:
        self._hits = iter(hits)

    def randrange(self, *_: int) -> int:
        return next(self._hits)


OTHER = "import runpy, sys\nprint(runpy.run_path(sys.argv[1])['kept'](), flush=True)\nsys.stdin.read()"


def test_a_port_that_is_kept_but_not_listened_on_is_chosen_by_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    own, free = ports.kept(), ports.kept()
    ports._kept.pop().close()
    command = [sys.executable, "-c", OTHER, str(ports.__file__)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        monkeypatch.setattr(random, "SystemRandom", lambda: Chance(theirs, own, free))
        assert ports.kept() == free
        other.communicate()


def test_no_more_are_kept_than_a_test_takes() -> None:
    first = [ports.kept() for _ in range(ports._MOST + 8)]
    assert len(ports._kept) == ports._MOST
    assert len(set(first[-ports._MOST :])) == ports._MOST
