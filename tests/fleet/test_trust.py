"""Identities: only a client's own token opens the door, one line shuts it, and everything can be made anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import MANUAL_LEAKED, Controller, Play
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
def test_a_second_controller_without_the_secrets_is_refused_unless_somebody_types_yes(
    controller: Controller, fleet: Fleet, api: Api, source: Path, tmp_path: Path
) -> None:
    identities = "sha256sum /etc/bramble/ca.crt /etc/bramble/*.token /etc/bramble/tokens*.toml /etc/bramble/server.key"
    before = fleet.server.output(identities)
    folder = tmp_path / "none"
    given = {"identity_folder": str(folder), "wheelhouse_folder": str(tmp_path / "wheels")}
    play = controller.answer("no", "deploy.yml", "-e", json.dumps(given), source=source)
    assert play.failed == ["localhost"], play.output[-3000:]
    said = " ".join(play.output.split())
    assert (
        f"Nothing was changed, for the fleet has identities already, and {folder} on this controller has no ca.key and no tokens.yml"
        in said
    )
    assert "copy that folder from the controller that made them" in said
    assert list(tmp_path.iterdir()) == [], "neither made nor built"
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
def test_a_controller_whose_secrets_are_lost_takes_over_and_everybody_stays_in_reach(
    fleet: Fleet, first_play: Play, request: pytest.FixtureRequest
) -> None:
    serial = "openssl x509 -noout -serial"
    commands = {
        "hub": f"{serial} -in /etc/bramble/server.crt",
        "pi-1": "cat /etc/bramble/client.token",
        "pi-2": "openssl x509 -noout -pubkey -in /etc/bramble/ca.crt",
    }
    before = {name: fleet[name].output(command) for name, command in commands.items()}
    since = {name: fleet[name].output("date '+%F %T'") for name in fleet.hosts}
    play: Play = request.getfixturevalue("renewed")
    assert "Wait: the fleet has identities already, and " in play.output
    after = {name: fleet[name].output(command) for name, command in commands.items()}
    assert all(before[name] != after[name] for name in commands)
    api: Api = request.getfixturevalue("api")  # everybody is there
    assert api.connected() == CLIENTS
    served = fleet.server.output(f"openssl s_client -connect localhost:5000 </dev/null 2>/dev/null | {serial}")
    assert served == after["hub"]
    # pi-2 was shut out before, and comes back in this play.
    for name, unit in {"pi-1": "bramble-client", "pi-3": "bramble-client@*"}.items():
        journal = fleet[name].journal(unit, since[name])
        assert "refuses this client" not in journal, "old and new token are good meanwhile"
        assert "is not trusted" not in journal, "and so are the old and the new authority"
    assert fleet["pi-2"].output("grep -c BEGIN /etc/bramble/ca.crt") == "1", "in the end the old one is trusted nowhere"
    assert fleet.server.output("grep -c sha256 /etc/bramble/tokens.former.toml || true") == "0"


CURL = "curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}'"
NAME = "hub.garden.example"


def opened(host: Host, token: str, authority: str) -> str:
    """Return what the server answers to a token, seen with an authority of some day; ``000`` if it is not the server's."""
    return host.run(f"{CURL} --cacert {authority} -H 'Authorization: Bearer {token}' https://localhost:5000/clients", check=False).stdout


@pytest.mark.timeout(1200)
def test_a_leaked_authority_goes_though_a_run_was_cut_and_half_the_fleet_was_off_and_comes_back(
    controller: Controller, fleet: Fleet, renewed: Play, api: Api, source: Path
) -> None:
    """At last the server has moved to a name, by which the half that was off finds it; the other half has not heard of it yet."""
    hub, off, operator = fleet.server, fleet["pi-3"], "cat /etc/bramble/operator.token"
    old = hub.output(f"cp /etc/bramble/ca.crt /tmp/old.crt; {operator}")
    since = fleet["pi-2"].output("date '+%F %T'")
    off.power_cut()
    controller.cut("Switch to the release", *MANUAL_LEAKED, nth=4, source=source)  # the server's, the inspector's, pi-1's, and pi-2's
    assert opened(hub, old, "/tmp/old.crt") == opened(hub, hub.output(operator), "/etc/bramble/ca.crt") == "200", (
        "old and new, until the end"
    )
    api.wait_for({"pi-1", "pi-2"})

    play = controller.deploy(*MANUAL_LEAKED, source=source)
    said = " ".join(play.output.split())
    assert play.failed == ["pi-3"], play.output[-3000:]
    assert "pi-3: this run did not reach it" in said
    assert "Tokens of before that are still good: pi-3a, pi-3b;" in said
    assert opened(hub, hub.output(operator), "/etc/bramble/ca.crt") == "200"
    assert opened(hub, old, "/etc/bramble/ca.crt") == "401"
    assert opened(hub, hub.output(operator), "/tmp/old.crt") == "000"
    assert api.connected() == {"pi-1", "pi-2"}
    for pi in (fleet["pi-1"], fleet["pi-2"]):
        assert pi.output("grep -c BEGIN /etc/bramble/ca.crt") == "1"
    journal = fleet["pi-2"].journal("bramble-client", since)
    assert "refuses this client" not in journal
    assert "is not trusted" not in journal

    off.boot()
    off.reachable()
    until(lambda: "is not trusted" in off.journal("'bramble-client@*'", since), "the old authority to be good for nothing")
    off.run(f"echo {hub.address} {NAME} >>/etc/hosts")
    controller.host_variables["hub"] = {"ansible_host": NAME, "ansible_ssh_common_args": f"{hub.ssh_arguments} -o HostName={hub.address}"}
    try:
        controller.deploy("--limit", "localhost,hub,pi-3", source=source).ok()
    finally:
        controller.host_variables["hub"] = {}
    api.wait_for(CLIENTS)
    assert f'"https://{NAME}:5000"' in off.output("cat /etc/bramble/client-pi-3a.toml")
    assert hub.output("grep -c sha256 /etc/bramble/tokens.former.toml || true") == "0"
