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
            ["value of identity_renew must be one or more of: authority, ca, certificate, clients, graphs, tokens. Got no match for"],
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
        ({"base_journal_max": "lots"}, ["value of base_journal_max must be a size such as 100M, got lots"]),
        ({"client_graph_keys": ["ed25519:short"]}, ["value of client_graph_keys must be public keys as bramble task key writes them"]),
        ({"release_port": 80}, ["value of release_port must be 1024 to 65535, got 80"]),
        ({"client_memory": -3}, ["value of client_memory must be 64 to 1048576, got -3"]),
        ({"client_replay": ""}, ["client_replay is empty: give it a value, or delete the line"]),
        ({"inspector_host": "::1\nport = 1"}, ["inspector_host has a line break, a tab or the like in it, '::1\\nport = 1'"]),
        ({"client_labels": ["a\tb"]}, ["a text in client_labels has a line break"]),
        ({"uninstall_data": "ture"}, ["value of uninstall_data must be true or false, got the text: ture"]),
        ({"server_names": ["hub", 7], "server_settings": {"allow": [1], "strategy": {"name": "fedprox", "mu": 0.1}}}, []),
        ({"server_mode": "private", "server_port": 5001, "client_gpio": True, "client_sample_every": 60, "uninstall_data": "true"}, []),
    ],
    ids=lambda value: next(iter(value), "all well") if isinstance(value, dict) else "",
)
def test_a_value_that_its_variable_cannot_have_is_named(values: dict[str, Any], said: list[str]) -> None:
    sentences = variables.unfit(values, variables.known_variables(PLUGINS.parent / "roles"))
    assert [sentence[: len(begin)] for sentence, begin in zip(sentences, said, strict=True)] == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "has no value"),
        ([["a"]], ""),
        ({1: 2}, ""),
        ([None], ""),
        ("", ""),
        (" \n", ""),
        (float("nan"), ""),
        (-1, ""),
        (True, ""),
        (b"a", ""),
    ],
    ids=str,
)
def test_whatever_a_variable_is_given_there_is_at_most_one_sentence_which_names_it(value: Any, said: str) -> None:
    known = variables.known_variables(PLUGINS.parent / "roles")
    for name in known:
        sentences = variables.unfit({name: value}, known)
        assert len(sentences) <= 1, sentences
        assert all(name in sentence and said in sentence for sentence in sentences)
        assert sentences or not said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"server_tasks": []}, "server_tasks names no task: name one, or delete the line"),
        (
            {"server_tasks": ["climate"], "server_task": "climate"},
            "server_tasks and server_task both say what the fleet learns: say all of it",
        ),
        ({"server_graph": "mine.tflite", "server_task": "climate"}, ""),  # as ever: the graph it is
    ],
)
def test_what_the_fleet_learns_is_said_once(values: dict[str, Any], said: str) -> None:
    sentences = variables.torn(values)
    assert sentences[:1] == ([sentences[0]] if said else [])
    assert all(sentence.startswith(said) for sentence in sentences)


def test_a_name_of_another_kind_is_named_once() -> None:
    for odd in (None, ["a"], {"a": 1}, True):
        assert variables.misnamed({"pi-1": {"client_id": odd}}) == []
    assert "client_id of pi-1 names 7" in variables.misnamed({"pi-1": {"client_id": 7}})[0]


@pytest.mark.parametrize(
    ("hosts", "sentence"),
    [
        ({"Weide_2": {}, "weide-2": {}}, "Weide_2 and weide-2 would both be weide-2 in the fleet: give one of them another client_id"),
        ({"pi-1": {"client_id": "Küche"}}, "client_id of pi-1 names 'Küche': an id has 1 to 63 of a-z"),
        ({"pi-1": {"client_instances": ["a", "b c"]}}, "client_instances of pi-1 names 'b c': an id has"),
        ({"pi-1": {"client_instances": ["a"]}, "pi-2": {"client_id": "a"}}, "pi-1 and pi-2 would both be a in the fleet"),
    ],
    ids=["two of one name", "no id", "an instance of no id", "an instance and a host"],
)
def test_names_that_no_fleet_may_have_are_named(hosts: dict[str, Any], sentence: str) -> None:
    (said,) = variables.misnamed(hosts)
    assert said.startswith(sentence)
