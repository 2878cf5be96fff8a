"""Identities: only a client's own token opens the door, one line shuts it, and everything can be made anew."""

from __future__ import annotations

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
    commands = {"hub": f"{serial} -in /etc/bramble/server.crt", "pi-1": "cat /etc/bramble/client.token"}
    before = {name: fleet[name].output(command) for name, command in commands.items()}
    request.getfixturevalue("renewed")
    after = {name: fleet[name].output(command) for name, command in commands.items()}
    assert all(before[name] != after[name] for name in commands)
    api: Api = request.getfixturevalue("api")  # everybody is there
    assert api.connected() == CLIENTS
    served = fleet.server.output(f"openssl s_client -connect localhost:5000 </dev/null 2>/dev/null | {serial}")
    assert served == after["hub"]
