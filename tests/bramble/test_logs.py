"""What a line of the log looks like, and where."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from bramble.logs import JournalFormatter, to_journal


def record(level: int, message: str, error: BaseException | None = None) -> logging.LogRecord:
    trace = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("bramble_client.deliver.link", level, __file__, 1, message, None, trace)


@pytest.mark.parametrize(
    ("level", "line"),
    [
        (logging.CRITICAL, "<2>CRITICAL bramble_client.deliver.link: so"),
        (logging.ERROR, "<3>ERROR bramble_client.deliver.link: so"),
        (logging.WARNING, "<4>WARNING bramble_client.deliver.link: so"),
        (logging.INFO, "<6>INFO bramble_client.deliver.link: so"),
        (logging.DEBUG, "<7>DEBUG bramble_client.deliver.link: so"),
        (5, "<7>Level 5 bramble_client.deliver.link: so"),
    ],
)
def test_the_journal_gets_the_priority(level: int, line: str) -> None:
    assert JournalFormatter().format(record(level, "so")) == line


def test_every_line_of_a_traceback_has_the_priority() -> None:
    try:
        raise ValueError("odd")
    except ValueError as error:
        lines = JournalFormatter().format(record(logging.ERROR, "failed", error)).splitlines()
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)


class Stderr:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor


def test_stderr_is_the_journal_only_if_it_is_the_very_stream_that_systemd_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(tmp_path / "journal", "w") as journal, open(tmp_path / "file", "w") as file:
        status = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        monkeypatch.setattr(sys, "stderr", Stderr(journal.fileno()))
        assert to_journal()
        monkeypatch.setattr(sys, "stderr", Stderr(file.fileno()))
        assert not to_journal()


@pytest.mark.parametrize("named", ["", "8", "a:b", "1:2:3"])
def test_a_strange_name_is_no_journal(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", named)
    assert not to_journal()
