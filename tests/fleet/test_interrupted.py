"""A play that is cut anywhere is finished by the next run of the same command: what runs is compared with what is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import Controller, half
from tests.fleet.fleet import Fleet

LIMIT = ("--limit", "localhost,hub,pi-1")
RENEW = ("-e", '{"identity_renew": ["tokens"]}')
UNITS = {"hub": ["bramble-server.service", "bramble-inspector.service"], "pi-1": ["bramble-client.service"]}


def stale(fleet: Fleet) -> list[str]:
    """Return the units that were started with something else than is there now."""
    return [unit for name, units in UNITS.items() for unit in units if fleet[name].output(f"/opt/bramble/given {unit}") != "same"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("task", "nth", "setting"),
    [
        ("Run it, also after a reboot", 1, {"server_deadline": "61s"}),  # the server's release switched, its unit not restarted
        ("Install packages and releases", 1, {"client_sample_every": "3s"}),  # half a release, which the host goes on with
        ("Remember what runs here", 1, {"server_deadline": "62s"}),  # everything done, but the rest of the roll-out
    ],
    ids=["between switch and restart", "during an installation", "after the server"],
)
def test_one_more_run_finishes_what_was_cut(
    controller: Controller, fleet: Fleet, api: Api, source: Path, task: str, nth: int, setting: dict[str, str]
) -> None:
    controller.variables.update(setting)
    come_to = half(fleet["pi-1"], "bin/bramble") if task.startswith("Install") else lambda: True
    controller.cut(task, *LIMIT, nth=nth, source=source, come_to=come_to)
    controller.deploy(*LIMIT, source=source).ok()
    assert stale(fleet) == []
    api.wait_for(CLIENTS)
    ((name, value),) = setting.items()
    host, settings = ("hub", "server.toml") if name.startswith("server") else ("pi-1", "client.toml")
    assert f'"{value}"' in fleet[host].output(f"cat /etc/bramble/{settings}")


@pytest.mark.timeout(1800)
def test_a_client_whose_token_was_brought_and_that_was_not_restarted_is_not_locked_out(
    controller: Controller, fleet: Fleet, api: Api, source: Path
) -> None:
    controller.cut("Switch to the release", *LIMIT, *RENEW, nth=3, source=source)  # the server's, the inspector's, and pi-1's
    controller.deploy(source=source).ok()
    assert stale(fleet) == []
    api.wait_for(CLIENTS)
    play = controller.deploy(source=source).ok()
    assert set(play.changed.values()) == {0}, play.output[-5000:]


@pytest.mark.timeout(1800)
def test_clients_that_die_at_every_start_or_that_the_server_does_not_see_are_mended_or_named(
    controller: Controller, fleet: Fleet, api: Api, source: Path
) -> None:
    """One dies at every start, one hangs, and of two on one host, which run and are well, one talks to nobody."""
    dead, hung, astray = fleet["pi-1"], fleet["pi-2"], fleet["pi-3"]
    dead.run("rm /opt/bramble/client/current/bin/bramble && systemctl kill --signal=KILL bramble-client")
    own, before = "/etc/systemd/system/bramble-client@pi-3b.service.d/own.conf", astray.output("readlink /opt/bramble/client/current")
    command = "/opt/bramble/client/current/bin/bramble client --config /etc/bramble/client-%i.toml --data-dir %S/bramble-client/%i"
    drop_in = f"[Service]\nExecStart=\nExecStart={command} --token-file %d/token --server https://10.77.0.99:5000\n"
    astray.run(f"mkdir -p {own.rsplit('/', 1)[0]} && cat >{own} && systemctl daemon-reload", stdin=drop_in.encode())
    astray.run("systemctl restart bramble-client@pi-3b")
    hung.run("systemctl kill --signal=STOP bramble-client")
    healthy = astray.unit_pid("bramble-client@pi-3a")
    api.wait_for({"pi-3a"})
    try:
        play = controller.deploy(source=source)
        api.wait_for({"pi-2", "pi-3a"})
    finally:
        astray.run(f"rm {own} && systemctl daemon-reload")
    said = " ".join(play.output.split())
    assert play.failed == ["pi-1", "pi-3"]
    assert "pi-1: bramble-client is not running (activating)" in said
    assert "installed anew the next time" in said
    assert "the server sees pi-3b gone" in said
    assert "look at the network of this host and at what was added to its unit (systemctl cat bramble-client@pi-3b.service)" in said
    controller.deploy(source=source).ok()
    api.wait_for(CLIENTS)
    assert astray.unit_pid("bramble-client@pi-3a") == healthy, "whom the server saw all the time was let be"
    assert astray.output("readlink /opt/bramble/client/current") == before
