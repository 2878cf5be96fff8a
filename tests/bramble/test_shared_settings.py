"""What several commands can be set to is one setting: its range and its sentence stand in one place."""

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import Any

import pytest
from pydantic_settings import BaseSettings
from typer.testing import CliRunner

from bramble import cli, flags
from bramble.settings import DemoSettings, SimulateSettings, StartRoundSettings
from bramble_client.settings import ClientSettings
from bramble_inspector.settings import InspectorSettings
from bramble_server.settings import ServerSettings

EVERY = sorted({each for table in flags.TABLES for each in flags.commands(table)}, key=lambda each: each.__name__)
HOUSE = [each for each in EVERY if not issubclass(each, ClientSettings)]
"""Without the client's, which nothing above its package may hand it."""


def test_no_setting_says_the_same_in_two_classes() -> None:
    assert {ServerSettings, SimulateSettings, DemoSettings, InspectorSettings} <= set(HOUSE)
    said: dict[tuple[str, str | None], set[type[Any]]] = defaultdict(set)
    for cls in HOUSE:
        for name, field in cls.model_fields.items():
            owner = next(each for each in cls.__mro__ if name in inspect.get_annotations(each))
            said[name, field.description].add(owner)
    twice = {key: owners for key, owners in said.items() if len(owners) > 1}
    assert {name for name, _ in twice} <= {"timeout"}, "which has another default on the page, and its range and sentence from one type"


@pytest.mark.parametrize(
    "name",
    [
        "strategy",
        "strategy_option",
        "deadline",
        "epochs",
        "batch_size",
        "learning_rate",
        "codec",
        "codec_option",
        "horizon",
        "step",
        "window",
    ],
)
def test_a_round_is_set_alike_for_a_server_and_for_a_simulation(name: str) -> None:
    served, simulated = ServerSettings.model_fields[name], SimulateSettings.model_fields[name]
    assert (served.metadata, served.description, served.annotation) == (simulated.metadata, simulated.description, simulated.annotation)


@pytest.mark.parametrize("cls", [StartRoundSettings, InspectorSettings, ClientSettings])
@pytest.mark.parametrize("address", ["hub:5000", "ftp://hub", "http://", "http://hub/?a=1", "http://hub:0", "http://[", ""])
def test_what_is_no_server_s_address_is_one_sentence_wherever_it_is_given(cls: type[BaseSettings], address: str) -> None:
    given = {"server": address, **({"sensors": "mock"} if cls is ClientSettings else {})}
    with pytest.raises(flags.SettingError) as refused:
        flags.load(cls, "fleet", given, None)
    wanted = "expected the server's address, such as http://192.168.1.10:5000 or https://host.example/bramble"
    assert str(refused.value) == f"--server: {wanted}, got {address!r}"


@pytest.mark.parametrize(
    "command", [["client", "--sensors", "mock"], ["inspector"], ["fleet", "status"], ["round", "start"], ["model", "list"]]
)
def test_a_password_in_an_address_is_refused_and_not_said_again(command: list[str]) -> None:
    result = CliRunner().invoke(cli.app, [*command, "--server", "http://me:hunter2@hub:5000"])
    assert "give a token with --token-file" in str(result.exception)
    assert "hunter2" not in f"{result.exception}{result.output}"


def test_help_lists_a_command_s_own_settings_before_those_that_it_shares() -> None:
    told = CliRunner().invoke(cli.app, ["round", "start", "--help"]).output
    at = [told.index(flag) for flag in ("--generate", "--within", "--task", "--server", "--token-file")]
    assert at == sorted(at)
