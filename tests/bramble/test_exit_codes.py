"""The exit codes that the manual's table promises are those that the commands have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bramble import cli
from bramble.exit_codes import ExitCode

PAGE = Path(__file__).parents[2] / "docs/reference/command-line.md"


def test_the_table_has_each_code_and_no_other() -> None:
    rows = re.findall(r"^\| (\d+) \|", PAGE.read_text("utf-8"), re.M)
    assert [*map(int, rows)] == [code.value for code in ExitCode]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("task show climate", ExitCode.OK),
        ("task show climat", ExitCode.FAILED),
        ("round list --server http://127.0.0.1:9", ExitCode.FAILED),
        ("round list --limits 3", ExitCode.USAGE),
        ("rounds", ExitCode.USAGE),
        ("model show", ExitCode.USAGE),
    ],
)
def test_a_command_ends_with_the_code_of_the_table(line: str, code: ExitCode) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(line.split())
    assert end.value.code == code


def test_ctrl_c_has_a_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bramble.api.Server.rounds", interrupted)
    with pytest.raises(SystemExit) as end:
        cli.main(["round", "list"])
    assert end.value.code == ExitCode.INTERRUPTED


def test_a_task_that_is_misspelt_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["task", "show", "climat"])
    assert capsys.readouterr().err == "bramble: task show: there is no task climat, did you mean climate?\n"
