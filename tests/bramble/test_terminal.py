"""What the tables look like in a pipe and on a narrow terminal."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest
from rich.console import Console

from bramble import terminal

NAME = "pi-with-the-longest-name-that-a-client-may-have-in-this-fleet-1"


def shown(width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(terminal.table(("client", "empty", "remark"), [(NAME, "", "several words " * 20), ("pi-2", "", "")]))
    return console.export_text()


@pytest.mark.parametrize("width", [80, 120, terminal.PIPED])
def test_a_name_is_whole_whatever_the_width(width: int) -> None:
    assert NAME in shown(width)


def test_a_row_of_a_pipe_is_one_line() -> None:
    assert any(NAME in line and line.count("several") == 20 for line in shown(terminal.PIPED).splitlines())


def test_a_column_in_which_nothing_stands_is_left_out() -> None:
    assert "empty" not in shown(120)


SCRIPT = "from bramble import terminal; terminal.console().print('x' * 300 + ' ' + 'y' * 300)"


def test_a_pipe_has_no_edge_and_a_terminal_has_its_own() -> None:
    piped = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout
    assert piped.count("\n") == 1
    master, slave = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=slave, env={**os.environ, "COLUMNS": "100"}) as process:
        os.close(slave)
        seen = b""
        with suppress(OSError):  # the other end is closed: all is read
            while data := os.read(master, 4096):
                seen += data
        assert process.wait(30) == 0
    os.close(master)
    assert seen.count(b"\n") > 1
