"""From empty hosts to a fleet that learns, by one playbook."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import MANUAL, MANUAL_LOOK, Controller, Play
from tests.fleet.fleet import Fleet

COMMANDS = re.findall(r"```sh\n(.*?)\n```", MANUAL.split("## How is everybody?")[1].split("\n## ")[0], re.DOTALL)
"""As an operator pastes them: about the fleet, and about one client."""
UNITS = {
    "hub": ["bramble-server", "bramble-inspector"], "pi-1": ["bramble-client"], "pi-2": ["bramble-client"],
    "pi-3": ["bramble-client@pi-3a", "bramble-client@pi-3b"],
}  # fmt: skip


@pytest.mark.timeout(900)
def test_a_dry_run_on_empty_hosts_says_what_it_would_do_and_does_nothing(controller: Controller, fleet: Fleet, source: Path) -> None:
    play = controller.by_the_manual(MANUAL_LOOK, source).ok()
    assert all(play.changed[name] > 5 for name in fleet.hosts)
    assert all(host.run("ls /opt/bramble /etc/bramble", check=False).returncode != 0 for host in fleet.hosts.values())
    assert not controller.secrets.exists()


@pytest.mark.timeout(900)
def test_one_playbook_brings_up_every_unit(first_play: Play, fleet: Fleet, api: Api) -> None:
    for name, units in UNITS.items():
        for unit in units:
            assert fleet[name].active(unit), f"{unit} on {name}"
    clients = api.get("/clients")["clients"]
    assert set(clients) == CLIENTS
    assert {client["version"] for client in clients.values()} == {api.status()["version"]}


@pytest.mark.timeout(600)
def test_the_same_playbook_again_changes_nothing(controller: Controller, source: Path, api: Api) -> None:
    since = {name: client["since"] for name, client in api.get("/clients")["clients"].items()}
    play = controller.deploy(source=source).ok()
    assert set(play.changed.values()) == {0}, play.output[-5000:]
    look = controller.deploy("--check", "--diff", source=source).ok()
    assert set(look.changed.values()) == {0}, look.output[-5000:]
    assert {name: client["since"] for name, client in api.get("/clients")["clients"].items()} == since, "somebody was restarted"


def test_each_token_for_http_opens_what_it_is_for_and_no_more(fleet: Fleet, first_play: Play) -> None:
    hub = fleet["hub"]

    def status(token: str, path: str, method: str = "GET") -> int:
        curl = f"curl --silent --output /dev/null --write-out '%{{http_code}}' --cacert /etc/bramble/ca.crt --request {method}"
        return int(
            hub.output(f"{curl} --header \"Authorization: Bearer $(cat /etc/bramble/{token}.token)\" 'https://localhost:5000{path}'")
        )

    # A parameter that is not known is refused by whoever was let in, and nothing happens.
    asked = [("GET", "/metrics"), ("GET", "/status"), ("POST", "/?x=1"), ("POST", "/reset?x=1")]
    opened = {token: [status(token, path, method) for method, path in asked] for token in ("prometheus", "inspector", "operator")}
    assert opened == {"prometheus": [200, 403, 403, 403], "inspector": [200, 200, 400, 403], "operator": [200, 200, 400, 400]}
    assert "without scopes" not in hub.journal("bramble-server")


def test_the_fleet_learns_for_three_rounds_through_its_units(api: Api) -> None:
    for _ in range(3):
        api.generate()
        record = api.round()
        assert record["state"] == "committed", [part["reason"] for part in record["clients"].values()]
        assert api.trained(record["round"]) == CLIENTS
        assert record["metrics"]["loss_after"] < record["metrics"]["loss_before"]
    assert api.status()["round"] >= 3


def test_a_client_has_the_sensors_and_buttons_of_its_host_variables(fleet: Fleet, api: Api) -> None:
    channels = {name: {channel["key"] for channel in client["channels"]} for name, client in api.get("/clients")["clients"].items()}
    assert channels["pi-1"] == channels["pi-2"] | {"illuminance", "label"}
    told = fleet["pi-1"].output("cat /etc/bramble/client.toml")
    assert 'labels = "empty,occupied"' in told
    assert 'train_between = "00:00-12:00,12:00-24:00"' in told
    assert api.get("/clients")["clients"]["pi-1"]["groups"] == {"building": "north"}
    assert "the label button goes through empty, occupied" in fleet["pi-1"].journal("bramble-client")


def test_the_inspector_shows_its_page(fleet: Fleet, first_play: Play) -> None:
    page = fleet.server.output("curl --silent --fail http://127.0.0.1:8050/")
    assert "Bramble" in page


def test_the_status_of_the_fleet_names_everybody_with_version_round_and_clock(api: Api, fleet: Fleet) -> None:
    command, check = COMMANDS
    said = fleet["pi-1"].output(check)
    assert "ok   server: " in said
    assert "bramble-data" not in said, "it looks at what the unit measures"
    status = json.loads(fleet.server.output(f"{command} --json"))
    assert set(status["clients"]) == CLIENTS
    for client in status["clients"].values():
        assert client["fresh"]
        assert client["last_round"] >= 1
        assert abs(client["health"]["clock_offset"]) < 30
        assert client["health"]["disk_free"] > 0
    table = fleet.server.output(command)  # whole, in a pipe too
    assert all(name in table for name in CLIENTS)


def test_nothing_secret_is_in_arguments_logs_or_output(controller: Controller, fleet: Fleet, first_play: Play) -> None:
    secrets = []
    for host in fleet.hosts.values():
        secrets += host.output("cat /etc/bramble/*.token /etc/bramble/*.key 2>/dev/null || true").split("\n")
    secrets = [secret for secret in secrets if len(secret) > 30 and "-----" not in secret]
    assert len(secrets) >= 6
    for host in fleet.hosts.values():
        shown = host.output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '; systemctl show '*' -p Environment") + host.journal()
        assert not [secret for secret in secrets if secret in shown], host.name
    log = (fleet.folder / "plays.log").read_text()
    assert not [secret for secret in secrets if secret in log]
    for name in ("ca.key", "server.key", "tokens.yml"):
        assert (controller.secrets / name).read_text().startswith("$ANSIBLE_VAULT")


def test_a_release_needs_neither_a_compiler_nor_the_internet(fleet: Fleet, first_play: Play) -> None:
    pi = fleet["pi-1"]
    assert pi.run("ip route get 8.8.8.8", check=False).returncode != 0
    assert pi.run("command -v gcc || command -v pip", check=False).returncode != 0
    assert pi.output("stat --format=%U:%a /var/lib/bramble-client") == "bramble-client:700"


def test_the_units_are_as_hardened_on_the_host_as_promised(fleet: Fleet, first_play: Play) -> None:
    for name, limit in (("bramble-server", 1.5), ("bramble-inspector", 1.5)):
        line = fleet.server.output(f"systemd-analyze security --no-pager {name} | tail -1")
        assert float(line.split(":")[1].split()[0]) <= limit
    line = fleet["pi-1"].output("systemd-analyze security --no-pager bramble-client | tail -1")
    assert float(line.split(":")[1].split()[0]) <= 1.9  # it may ask for the clock
