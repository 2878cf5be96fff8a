"""``bramble model`` against a real server with real clients, through the commit of a model that is not wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bramble.test_round import bramble
from tests.server.pi import Pi
from tests.server.process import ServerProcess
from tests.waiting import wait_for


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, "--min-clients", "1") as made:
        yield made


def test_models_are_listed_and_one_of_them_comes_back(server: ServerProcess) -> None:
    assert (
        bramble("model", "list", "--server", server.url).stdout == "no model yet but the initial one; each round that commits makes one\n"
    )
    with Pi(server.url) as pi:
        for number, value in ((1, 0.5), (2, 1.0)):
            server.api.start()
            pi.train(value)
            wait_for(lambda number=number: server.api.status()["round"] == number, "the commit")
    done = bramble("model", "rollback", "1", "--server", server.url)
    assert (done.returncode, done.stdout) == (0, "the model of round 1 is the global one again, as round 3\n")
    assert server.api.model()["weights"]["dense/bias"] == [0.5, 0.5]
    lines = bramble("model", "list", "--server", server.url).stdout.splitlines()
    assert [line.split("round", 1)[1].split()[0] for line in lines] == ["1", "2", "3"]
    assert lines[2].endswith("rolled back to the model of round 1")
    assert "rolled back to the model of round 1" in bramble("round", "list", "--server", server.url).stdout


def test_what_cannot_come_back_is_a_sentence_and_exit_code_1(server: ServerProcess) -> None:
    done = bramble("model", "rollback", "7", "--server", server.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the model of round 7 is not kept; there are those of rounds none" in done.stderr
    done = bramble("model", "rollback", "0", "--server", server.url)
    assert done.returncode == 1
    assert "number" in done.stderr
