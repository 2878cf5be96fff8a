"""Identities: only a client's own token opens the door, one line shuts it, and everything can be made anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import Controller, Play
from tests.fleet.fleet import Fleet
from tests.fleet.host import Host
from tests.fleet.wait import until

CLIENT = "/opt/bramble/client/current/bin/bramble client --config /etc/bramble/client.toml --data-dir /tmp/intruder"


def intrude(host: Host, flags: str, said: str) -> str:
    """Run a second client until it has said so; return what it said."""
    return host.output(
        f"{CLIENT} {flags} >/tmp/said 2>&1 & for _ in $(seq 120); do grep -q '{said}' /tmp/said && break; sleep 0.25; done; "
        "kill $!; wait; cat /tmp/said; rm -rf /tmp/intruder"
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("", "token: not the one of client pi-1"),
        ("--token-file /tmp/wrong", "token: not the one of client pi-1"),
        ("--token-file /etc/bramble/client.token --id pi-2", "token: not the one of client pi-2"),
        ("--token-file /etc/bramble/client.token --id pi-9", "token: not the one of client pi-9"),
    ],
    ids=["no token", "a wrong token", "another's token", "an unknown client"],
)
def test_a_client_without_its_own_token_is_refused(api: Api, fleet: Fleet, flags: str, said: str) -> None:
    since = {name: client["since"] for name, client in api.get("/clients")["clients"].items()}
    fleet["pi-1"].run("echo not-the-token >/tmp/wrong")
    output = intrude(fleet["pi-1"], flags, said)
    assert said in output, output
    assert {name: client["since"] for name, client in api.get("/clients")["clients"].items()} == since


def test_a_client_that_trusts_another_authority_does_not_connect(api: Api, fleet: Fleet) -> None:
    fleet["pi-1"].run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=other -keyout /dev/null -out /tmp/other.crt"
    )
    said = "certificate is not trusted"
    output = intrude(fleet["pi-1"], "--token-file /etc/bramble/client.token --ca /tmp/other.crt", said)
    assert said in output, output


def test_http_needs_a_token_and_speaks_tls_only(api: Api, fleet: Fleet) -> None:
    curl = "curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}'"
    assert fleet.server.output(f"{curl} --cacert /etc/bramble/ca.crt https://localhost:5000/clients") == "401"
    assert fleet.server.output(f"{curl} --cacert /etc/bramble/ca.crt https://localhost:5000/healthz") == "200"
    assert fleet.server.output(f"{curl} http://localhost:5000/healthz || true") == "000"


@pytest.mark.timeout(900)
def test_a_second_controller_without_the_secrets_is_refused(
    controller: Controller, fleet: Fleet, api: Api, source: Path, tmp_path: Path
) -> None:
    identities = "sha256sum /etc/bramble/ca.crt /etc/bramble/*.token /etc/bramble/tokens*.toml /etc/bramble/server.key"
    before = fleet.server.output(identities)
    folder = tmp_path / "none"
    play = controller.deploy("-e", json.dumps({"identity_folder": str(folder)}), source=source)
    assert play.failed == ["localhost"]
    said = " ".join(play.output.split())
    assert (
        f"Nothing was changed, for the fleet has identities already, and {folder} on this controller has no ca.key and no tokens.yml"
        in said
    )
    assert "copy that folder from the controller that made them" in said
    assert not folder.exists()
    assert fleet.server.output(identities) == before
    assert sum(play.changed.values()) == 0


@pytest.mark.timeout(900)
def test_one_line_of_the_inventory_shuts_a_client_out(controller: Controller, fleet: Fleet, api: Api, source: Path) -> None:
    controller.host_variables["pi-2"]["client_revoked"] = True
    try:
        controller.deploy("--limit", "localhost,hub", source=source).ok()
    finally:
        del controller.host_variables["pi-2"]["client_revoked"]
    until(lambda: "refuses this client: token" in fleet["pi-2"].journal("bramble-client"), "the client to be refused")
    api.wait_for(CLIENTS - {"pi-2"})
    api.generate()
    assert api.trained(api.round()["round"]) == CLIENTS - {"pi-2"}


@pytest.mark.timeout(900)
def test_it_comes_back_with_everybodys_identities_made_anew(fleet: Fleet, first_play: Play, request: pytest.FixtureRequest) -> None:
    serial = "openssl x509 -noout -serial"
    commands = {
        "hub": f"{serial} -in /etc/bramble/server.crt",
        "pi-1": "cat /etc/bramble/client.token",
        "pi-2": "openssl x509 -noout -pubkey -in /etc/bramble/ca.crt",
    }
    before = {name: fleet[name].output(command) for name, command in commands.items()}
    since = {name: fleet[name].output("date '+%F %T'") for name in fleet.hosts}
    request.getfixturevalue("renewed")
    after = {name: fleet[name].output(command) for name, command in commands.items()}
    assert all(before[name] != after[name] for name in commands)
    api: Api = request.getfixturevalue("api")  # everybody is there
    assert api.connected() == CLIENTS
    served = fleet.server.output(f"openssl s_client -connect localhost:5000 </dev/null 2>/dev/null | {serial}")
    assert served == after["hub"]
    # pi-2 was shut out before, and comes back in this play
    for name, unit in {"pi-1": "bramble-client", "pi-3": "bramble-client@*"}.items():
        journal = fleet[name].journal(unit, since[name])
        assert "refuses this client" not in journal, "old and new token are good meanwhile"
        assert "is not trusted" not in journal, "and so are the old and the new authority"
    assert fleet["pi-2"].output("grep -c BEGIN /etc/bramble/ca.crt") == "1", "in the end the old one is trusted nowhere"
    assert fleet.server.output("grep -c sha256 /etc/bramble/tokens.former.toml || true") == "0"
