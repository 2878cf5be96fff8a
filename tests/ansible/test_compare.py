"""What the play decides by: the reasons why something is to be done. No host is needed for these."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import pytest
from ansible_collections.bramble.fleet.plugins.plugin_utils.reasons import reasons_of, settled

from tests.plugins import load

compare = load("bramble_compare", "filter/bramble_compare.py")

NAME, UNIT = "0.2+abc-cp311-aarch64-00000001", "bramble-client.service"
FILE = {"sha256": "1" * 64, "mode": "0644", "owner": "root:root"}
WANTED: dict[str, Any] = {
    "base": {"settings": "12345678", "files": {"opt/bramble/given": FILE}},
    "units": {"client": [UNIT]},
    "client": {
        "release": NAME, "version": "0.2+abc", "packages": "lock-cp311-aarch64",
        "files": {"etc/bramble/client.toml": FILE}, "identity": {"etc/bramble/client.token": FILE},
    },
}  # fmt: skip
HOST: dict[str, Any] = {
    "users": ["bramble-client"],
    "files": {
        "opt/bramble/given": FILE, "etc/bramble/client.token": FILE,
        "opt/bramble/base": {**FILE, "sha256": hashlib.sha256(b"12345678\n").hexdigest()},
    },
    "components": {
        "client": {
            "current": NAME, "previous": "", "releases": {NAME: {"complete": True, "proved": True, "etc": True}},
            "packages": ["lock-cp311-aarch64"], "files": {"etc/bramble/client.toml": "1" * 64}, "not_live": [],
            "units": {UNIT: {"state": "active", "enabled": True, "reload": False, "given": "same"}},
        }
    },
}  # fmt: skip
CLIENT, LIVE = ("components", "client"), ("components", "client", "units", UNIT)
KNOWN = (*CLIENT, "releases", NAME)


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return the converged host with one thing different."""
    host = copy.deepcopy(HOST)
    part = host
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return host


def test_a_host_that_has_and_runs_what_it_is_to_have_needs_nothing() -> None:
    assert reasons_of(WANTED, HOST) == {}
    assert settled(WANTED, HOST) == {"client": NAME}
    assert compare.bramble_missing(WANTED, HOST) == []


def test_whom_a_host_trusts_is_brought_before_the_roll_out_where_it_is_another_than_it_has() -> None:
    wanted, host = copy.deepcopy(WANTED), copy.deepcopy(HOST)
    wanted["client"]["identity"] = {
        "etc/bramble/client.token": {**FILE, "early": False}, "etc/bramble/ca.crt": {**FILE, "early": True},
    }  # fmt: skip
    assert compare.bramble_early(wanted, host) == ["client"]
    host["files"]["etc/bramble/ca.crt"] = FILE
    host["files"]["etc/bramble/client.token"] = None
    assert compare.bramble_early(wanted, host) == [], "a token takes over with its client's restart"


@pytest.mark.parametrize(
    ("path", "value", "component", "said"),
    [
        ((*CLIENT, "current"), "", "client", "the client is not there yet"),
        ((*CLIENT, "current"), "0.1", "client", "client 0.1 is to be 0.2+abc"),
        ((*CLIENT, "current"), "0.2+abc-cp313-aarch64-00000001", "client", "the client was made for cp313-aarch64"),
        ((*CLIENT, "current"), "0.1+x-cp311-aarch64-00000001", "client", "client 0.1+x is to be 0.2+abc"),
        ((*CLIENT, "packages"), [], "client", "the client is to be installed anew"),
        ((*KNOWN, "complete"), False, "client", "the client is to be installed anew"),
        ((*KNOWN, "proved"), False, "client", "the client has not passed its gate yet"),
        ((*CLIENT, "not_live"), ["etc/bramble/client.toml"], "client", "client.toml is not as the client wants it"),
        (("files", "etc/bramble/client.token"), None, "client", "identity changed (client.token)"),
        (("files", "etc/bramble/client.token"), {**FILE, "mode": "0666"}, "client", "identity changed (client.token)"),
        (("users",), [], "client", "user bramble-client is missing"),
        ((*LIVE, "state"), "activating", "client", "bramble-client is not running (activating)"),
        ((*LIVE, "given"), "other", "client", "bramble-client runs with something else than is there"),
        ((*LIVE, "reload"), True, "client", "bramble-client runs with something else than is there"),
        ((*LIVE, "enabled"), False, "client", "bramble-client does not start at boot"),
        (("files", "opt/bramble/given"), None, "base", "the base changed (given)"),
        (("files", "opt/bramble/base"), None, "base", "the base is not finished"),
    ],
)
def test_whatever_differs_is_a_reason(path: tuple[str, ...], value: Any, component: str, said: str) -> None:
    assert reasons_of(WANTED, changed(path, value)) == {component: [said]}


def test_another_setting_is_named_by_its_file() -> None:
    host = changed((*CLIENT, "current"), "0.2+abc-cp311-aarch64-00000002")
    host["components"]["client"]["files"] = {"etc/bramble/client.toml": "2" * 64, "etc/bramble/sensors.toml": "3" * 64}
    assert reasons_of(WANTED, host) == {"client": ["settings changed (client.toml, sensors.toml)"]}


@pytest.mark.parametrize(
    ("client", "said"),
    [
        ({"connected": True, "fresh": True, "version": "2"}, {}),
        ({"connected": False, "fresh": True, "version": "2"}, {"a": "the server sees a gone"}),
        ({"connected": True, "fresh": False, "version": "2"}, {"a": "the server sees no fresh sample of a"}),
        ({"connected": True, "fresh": True, "version": "1"}, {"a": "the server sees a at version 1"}),
        (None, {"a": "the server has never seen a"}),
    ],
)
def test_a_client_that_the_server_does_not_see_well_is_not_green(client: dict[str, Any] | None, said: dict[str, str]) -> None:
    assert compare.bramble_unseen(json.dumps({"clients": {"a": client} if client else {}}), ["a"], "2") == said


def test_where_any_version_will_do_only_the_rest_is_asked_for() -> None:
    client = {"connected": True, "fresh": True, "version": "1"}
    assert compare.bramble_unseen(json.dumps({"clients": {"a": client}}), ["a", "b"], "") == {"b": "the server has never seen b"}
