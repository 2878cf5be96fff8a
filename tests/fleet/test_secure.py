"""Secure sums by one variable: the play brings each client its own key and the roll, and a booted fleet learns by sums alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import Controller
from tests.fleet.fleet import Fleet


def roll(fleet: Fleet) -> dict[str, str]:
    """Return each client's public key on the roll, which is the same on all hosts."""
    (text,) = {fleet[host].output("cat /etc/bramble/roll") for host in ("hub", "pi-1", "pi-2", "pi-3")}
    return dict(line.split() for line in text.splitlines()[1:-1])


@pytest.mark.timeout(1500)
def test_a_fleet_learns_by_sums_whose_keys_its_play_made_and_made_anew_and_goes_back(
    controller: Controller, fleet: Fleet, api: Api, source: Path
) -> None:
    controller.deploy(source=source).ok()
    api.wait_for(CLIENTS)
    api.generate()
    assert api.round()["state"] == "committed", "it learns in the open before, with clients that have no key of their own"
    controller.variables["server_secure"] = True
    try:
        controller.deploy(source=source).ok()
        assert fleet["pi-3"].output("stat -c '%a %U' /etc/bramble/client-pi-3a.key") == "600 root"
        before = roll(fleet)
        assert before.keys() == CLIENTS
        api.wait_for(CLIENTS)
        api.generate()
        record = api.end_of(api.start_round())
        assert (record["state"], record["updates"]) == ("committed", len(CLIENTS)), record
        assert {part["samples"] for part in record["clients"].values()} == {None}
        assert not [host for host, changed in controller.deploy(source=source).ok().changed.items() if changed], "once is enough"

        controller.deploy("-e", json.dumps({"identity_renew": ["clients"]}), source=source).ok()
        after = roll(fleet)
        assert after.keys() == CLIENTS
        assert not set(after.values()) & set(before.values()), "keys that leaked are good for nothing"
        api.wait_for(CLIENTS)
        record = api.end_of(api.start_round())
        assert (record["state"], record["updates"]) == ("committed", len(CLIENTS)), record
    finally:
        del controller.variables["server_secure"]
        controller.deploy(source=source).ok()
    api.wait_for(CLIENTS)
    assert not fleet["pi-1"].run("ls /etc/systemd/system/bramble-client.service.d/secure.conf", check=False).stdout
    number = api.start_round()
    assert api.end_of(number)["state"] == "committed"
    assert api.trained(number) == CLIENTS, "whose updates the server sees again"
