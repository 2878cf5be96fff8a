"""Variables of an inventory: a misspelt name, or a value that it cannot have, is named. No host is needed for these."""

from __future__ import annotations

from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.plugins import PLUGINS, load

variables = load("bramble_variables", "action/bramble_variables.py")


def test_every_variable_of_the_example_inventories_is_known() -> None:
    ansible = PLUGINS.parent
    known = variables.known_variables(ansible / "roles")
    for inventory in ("production.example", "mock"):
        document = yaml.safe_load((ansible / "inventories" / inventory / "hosts.yml").read_text())
        names = set(yaml.safe_load((ansible / "inventories" / inventory / "group_vars" / "all.yml").read_text()))
        for group in document["all"]["children"].values():
            names.update(name for host in group["hosts"].values() for name in host or {})
        assert variables.misspelt({name for name in names if not name.startswith("ansible_")}, known) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("client_senors", "did you mean client_sensors?"),
        ("cilent_sensors", "did you mean client_sensors?"),
        ("server_prot", "did you mean server_port?"),
        ("client_colour_of_the_case", "client_colour_of_the_case is not a variable of any role"),
    ],
)
def test_a_misspelt_variable_is_named_with_what_was_meant(name: str, said: str) -> None:
    known = variables.known_variables(PLUGINS.parent / "roles")
    assert said in variables.misspelt({name, "client_sensors"}, known)[0]


def test_variables_of_somebody_elses_are_left_alone() -> None:
    assert variables.misspelt({"site", "backup_host", "rack"}, {"server_port", "client_sensors"}) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"server_mode": "evalution"}, ["value of server_mode must be one of: private, evaluation, got: evalution"]),
        ({"server_port": "five thousand"}, ["value of server_port must be a whole number, got the text: five"]),
        ({"client_labels": {"empty": 1}}, ["value of client_labels must be a list, got {'empty': 1}"]),
        (
            {"identity_renew": ["tokens", "everything"]},
            ["value of identity_renew must be one or more of: authority, ca, certificate, graphs, tokens. Got no match for"],
        ),
        ({"client_gpio": "yes"}, ["value of client_gpio must be true or false, got the text: yes"]),
        ({"client_instances": "pi-3a"}, ["value of client_instances must be a list, got the text: pi-3a; -e takes it as"]),
        ({"client_sample_every": ["60s"]}, ["value of client_sample_every must be a text, got ['60s']"]),
        ({"server_every": False}, ["value of server_every must be a text, got False"]),
        ({"server_every": None}, ["server_every has no value: give it one, or delete the line"]),
        ({"server_settings": "rounds=3"}, ["value of server_settings must be a table of names and values, got the text"]),
        ({"server_settings": {"keep_models": None}}, ["server_settings.keep_models has no value: give it one, or delete the line"]),
        ({"server_tracks": {"climate": {"every": None}}}, ["server_tracks.climate.every has no value: give it one, or delete the line"]),
        ({"client_settings": {1: "a"}}, ["client_settings has the name 1, which is no text: write it in quotes"]),
        ({"server_names": ["hub", None]}, ["value of server_names must be a list of texts, one of which is None"]),
        ({"client_labels": ["a", ["b"]]}, ["value of client_labels must be a list of texts, one of which is ['b']"]),
        ({"server_tasks": []}, ["server_tasks names no task: name one, or delete the line"]),
        ({"server_tasks": ["climate"], "server_task": "climate"}, ["server_tasks and server_task both say what the fleet learns"]),
        ({"server_mode": "private", "server_port": 5001, "client_gpio": True, "client_sample_every": 60, "uninstall_data": "true"}, []),
    ],
    ids=lambda value: next(iter(value), "all well") if isinstance(value, dict) else "",
)
def test_a_value_that_its_variable_cannot_have_is_named(values: dict[str, Any], said: list[str]) -> None:
    sentences = variables.unfit(values, variables.known_variables(PLUGINS.parent / "roles"))
    assert [sentence[: len(begin)] for sentence, begin in zip(sentences, said, strict=True)] == said
