"""What ``--help`` of each command says on a terminal of 80 columns: all of it, and nothing twice."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import typer
from pydantic_settings import BaseSettings
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from bramble import cli, flags
from bramble_client.commands import sensors
from bramble_client.settings import ClientSettings
from bramble_inspector.settings import InspectorSettings
from bramble_server.settings import ServerSettings

APPS = {"bramble": cli.app, "bramble sensors": sensors.app}


def commands(app: typer.Typer) -> Iterator[tuple[str, ...]]:
    """Yield the names that lead to each command of an application, its own none first."""

    def below(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        if isinstance(command, TyperGroup):
            for name, other in command.commands.items():
                if (*path, name) != ("sensors",):  # which hands over to an application of its own
                    yield from below(other, (*path, name))

    yield from below(get_command(app), ())


def told(app: str, *path: str) -> str:
    result = CliRunner().invoke(APPS[app], [*path, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}, prog_name=app)
    assert result.exit_code == 0, result.output
    return result.output


ALL = [(app, path) for app in APPS for path in commands(APPS[app])]


@pytest.mark.parametrize(("app", "path"), ALL, ids=lambda item: " ".join(item) if isinstance(item, tuple) else item)
def test_nothing_is_cut_and_nothing_is_wider_than_a_terminal(app: str, path: tuple[str, ...]) -> None:
    text = told(app, *path)
    assert max(map(len, text.splitlines())) <= 80
    listed = text.partition("\nCommands:\n")[2]
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert "..." not in listed, "a command's first sentence is too long for the list"
    assert "\\[" not in text


@pytest.mark.parametrize(("name", "cls"), [("server", ServerSettings), ("client", ClientSettings), ("inspector", InspectorSettings)])
def test_each_setting_is_there_with_its_whole_variable(name: str, cls: type[BaseSettings]) -> None:
    text = told("bramble", name)
    words = re.split(r"[\s\[\],]+", text)
    for field in cls.model_fields:
        assert flags.variable(cls, field) in words, field


def test_brackets_are_said_as_they_are() -> None:
    text = " ".join(told("bramble", "experiment").split())
    assert "a title, [simulate] or [fleet] for all of its runs, and [grid] with lists of what differs" in text
    assert "TOML file; its table [experiment] may set any of these. [env: BRAMBLE_CONFIG]" in text


QUIET = {"server", "client", "inspector", "demo", "quickstart", "inspector password", "task new"}
"""What runs until it is stopped, or prints one line or writes one file, which is all that there is to say."""


@pytest.mark.parametrize(("app", "path"), ALL, ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_what_answers_something_answers_in_json_too(app: str, path: tuple[str, ...]) -> None:
    text = told(app, *path)
    if "\nCommands:\n" not in text and " ".join(path) not in QUIET:
        assert "--json" in text


def test_commands_stand_in_an_order_for_readers() -> None:
    listed = re.findall(r"^  (\w+) ", told("bramble").partition("\nCommands:\n")[2], re.M)
    assert tuple(listed) == cli.ORDER
