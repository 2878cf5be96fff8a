"""What a fleet in the field lives through: hung and killed processes, reboots, cut cables, full cards. It always comes back by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.fleet import Fleet
from tests.fleet.host import Host
from tests.fleet.wait import until

EVERY_UNIT = [
    ("hub", "bramble-server"), ("hub", "bramble-inspector"), ("pi-1", "bramble-client"), ("pi-3", "bramble-client@pi-3a"),
]  # fmt: skip
HEALTHY = ("pi-2", "bramble-client")


def restarts(host: Host, unit: str) -> int:
    return int(host.output(f"systemctl show -P NRestarts {unit}"))


def uptime(host: Host) -> float:
    return float(host.output("cut -d' ' -f1 /proc/uptime"))


def wait_restarted(host: Host, unit: str, pid: int, within: float = 90) -> None:
    until(lambda: host.unit_pid(unit) not in (0, pid) and host.active(unit), f"systemd to restart {unit} on {host.name}", within)


@pytest.mark.parametrize(("name", "unit"), EVERY_UNIT, ids=[unit for _, unit in EVERY_UNIT])
def test_a_unit_that_is_killed_comes_back(api: Api, fleet: Fleet, name: str, unit: str) -> None:
    host = fleet[name]
    pid = host.unit_pid(unit)
    host.run(f"kill -9 {pid}")
    wait_restarted(host, unit, pid)
    api.wait_for(CLIENTS)
    api.generate()
    assert api.round()["state"] == "committed"


@pytest.fixture
def impatient(api: Api, fleet: Fleet) -> Iterator[None]:
    """Watchdogs that bark after six seconds."""
    drop_in, units = "/run/systemd/system/{unit}.service.d/impatient.conf", [*EVERY_UNIT, HEALTHY]
    for name, unit in units:
        path = drop_in.format(unit=unit)
        fleet[name].run(f"mkdir -p {path.rsplit('/', 1)[0]} && printf '[Service]\\nWatchdogSec=6\\n' >{path}")
        fleet[name].run(f"systemctl daemon-reload && systemctl restart {unit}")
    api.wait_for(CLIENTS)
    yield
    for name, unit in units:
        fleet[name].run(f"rm {drop_in.format(unit=unit)} && systemctl daemon-reload && systemctl restart {unit}")
    api.wait_for(CLIENTS)


@pytest.mark.load
def test_the_watchdog_restarts_what_hangs_all_at_once_and_lets_the_healthy_be(api: Api, fleet: Fleet, impatient: None) -> None:
    before = {(name, unit): (fleet[name].unit_pid(unit), restarts(fleet[name], unit)) for name, unit in EVERY_UNIT}
    healthy = fleet[HEALTHY[0]]
    pid, begun = healthy.unit_pid(HEALTHY[1]), uptime(healthy)
    for (name, _), (hung, _) in before.items():
        fleet[name].run(f"kill -STOP {hung}")
    for (name, unit), (hung, count) in before.items():
        wait_restarted(fleet[name], unit, hung)
        assert restarts(fleet[name], unit) > count
        assert "Watchdog timeout" in fleet[name].journal(unit)
    until(lambda: uptime(healthy) > begun + 13, "two of its limits to pass", every=1)
    assert healthy.unit_pid(HEALTHY[1]) == pid
    api.wait_for(CLIENTS)


def test_a_rebooted_client_takes_part_again(api: Api, fleet: Fleet) -> None:
    fleet["pi-2"].reboot()
    api.wait_for(CLIENTS, 90)
    api.generate()
    assert "pi-2" in api.trained(api.round()["round"])


def test_a_power_cut_loses_no_committed_round(api: Api, fleet: Fleet) -> None:
    api.generate()
    last = api.round()
    assert last["state"] == "committed"
    fleet.server.power_cut()
    fleet.server.boot()
    fleet.server.reachable()
    until(lambda: api.status()["round"] == last["round"], "the last committed round after a power cut", 90)
    api.wait_for(CLIENTS, 90)
    assert api.get(f"/rounds/{last['round']}")["state"] == "committed"
    assert api.round()["state"] == "committed"


def test_a_client_without_its_token_is_started_again_until_it_has_one(api: Api, fleet: Fleet) -> None:
    """At another pace than its own, which would take minutes, and with a limit that the unit does not have any more."""
    pi, token, hurried = fleet["pi-2"], "/etc/bramble/client.token", "/run/systemd/system/bramble-client.service.d/hurried.conf"
    settings = "[Unit]\\nStartLimitBurst=20\\n[Service]\\nRestartSec=50ms\\n"
    pi.run(f"mkdir -p {hurried.rsplit('/', 1)[0]} && printf '{settings}' >{hurried} && systemctl daemon-reload")
    pi.run(f"mv {token} {token}.away; systemctl restart bramble-client", check=False)
    try:
        until(lambda: restarts(pi, "bramble-client") > 25, "it to be started for the 25th time", 120)
        api.wait_for(CLIENTS - {"pi-2"})
    finally:
        pi.run(f"mv {token}.away {token}; rm {hurried}; systemctl daemon-reload")
    api.wait_for(CLIENTS, 60)


@pytest.fixture
def timeless(fleet: Fleet) -> Iterator[None]:
    """A server's host whose time server never answers, at its next start."""
    hub, unit = fleet.server, "/etc/systemd/system/systemd-time-wait-sync.service.d/timeless.conf"
    # In a container systemd does not wait for the time; here it does, and in vain.
    hub.run(f"printf '[Unit]\\nConditionVirtualization=\\n[Service]\\nExecStart=\\nExecStart=/bin/sleep infinity\\n' >{unit}")
    hub.run("echo 'd /run/systemd/timesync' >/etc/tmpfiles.d/timeless.conf")
    yield
    hub.run(f"rm {unit} /etc/tmpfiles.d/timeless.conf; rmdir /run/systemd/timesync; systemctl daemon-reload")
    hub.run("systemctl reset-failed systemd-time-wait-sync")


def test_a_server_without_a_time_server_starts_after_a_while_and_says_so(api: Api, fleet: Fleet, timeless: None) -> None:
    fleet.server.reboot()
    api.wait_for(CLIENTS, 90)
    until(lambda: fleet.server.active("multi-user.target"), "the start to end")
    assert "this machine's clock is not known to be right" in fleet.server.output(
        "journalctl --namespace=bramble --no-pager --boot --output=cat"
    )


@pytest.mark.load
def test_a_link_cut_mid_round_and_restored_costs_nothing(api: Api, fleet: Fleet) -> None:
    """A client that hangs keeps the round open for a ping time-out; meanwhile another's cable is out, and in again."""
    api.generate()
    cut = fleet["pi-2"]
    with stopped(fleet["pi-1"], "bramble-client"):
        fleet.cut(cut)
        try:
            number = api.start_round()
            api.wait(lambda status: set(status["waiting_for"]) == {"pi-1", "pi-2"}, "the others' updates")
        finally:
            fleet.restore(cut)
        until(lambda: api.get(f"/rounds/{number}")["clients"]["pi-2"]["replied"], "the update of the client whose cable was out")
    assert api.end_of(number)["state"] == "committed"
    assert "pi-2" in api.trained(number)


@pytest.mark.load
def test_a_link_that_stays_cut_leaves_the_fleet_and_comes_back(api: Api, fleet: Fleet) -> None:
    api.generate()
    cut = fleet["pi-2"]
    fleet.cut(cut)
    try:
        record = api.round()
        assert record["state"] == "committed"
        assert api.trained(record["round"]) == CLIENTS - {"pi-2"}
        api.wait_for(CLIENTS - {"pi-2"})
    finally:
        fleet.restore(cut)
    api.wait_for(CLIENTS)
    assert api.trained(api.round()["round"]) == CLIENTS


def test_the_server_stopped_mid_round_goes_on_with_it(api: Api, fleet: Fleet) -> None:
    api.generate()
    with stopped(fleet["pi-1"], "bramble-client"):
        number = api.start_round()
        fleet.server.run("systemctl stop bramble-server")
        fleet.server.run("systemctl start bramble-server")
        assert api.get(f"/rounds/{number}")["state"] == "running"
    api.wait_for(CLIENTS)
    assert api.end_of(number)["state"] == "committed"
    assert api.trained(number) == CLIENTS


def test_a_full_disk_stops_one_client_and_nobody_else(api: Api, fleet: Fleet) -> None:
    """The client's data move to a small file system, which is then filled to the last byte."""
    pi, data = fleet["pi-2"], "/var/lib/bramble-client"
    pi.run(
        "systemctl stop bramble-client && mkdir -p /mnt/data && mount -t tmpfs -o size=40m tmpfs /mnt/data && "
        f"cp -a {data}/. /mnt/data/ && mount --bind /mnt/data {data} && chown bramble-client: {data} && chmod 700 {data} && "
        "systemctl start bramble-client"
    )
    api.wait_for(CLIENTS)
    try:
        pi.run(f"dd if=/dev/zero of={data}/filler bs=64k 2>/dev/null; df {data}", check=False)
        api.get("/generate?count=2000", "POST")
        api.wait(lambda status: set(status["cycle_waiting_for"]) <= {"pi-2"}, "everybody else's readings")
        record = api.round()
        assert record["state"] == "committed"
        assert api.trained(record["round"]) >= CLIENTS - {"pi-2"}
    finally:
        pi.run(f"rm -f {data}/filler", check=False)
    until(lambda: "pi-2" in api.connected(), "the client to be back once there is space", 120)
    api.generate()
    assert "pi-2" in api.trained(api.round()["round"])
    pi.run(
        f"systemctl stop bramble-client && cp -a {data} /tmp/data && umount {data} /mnt/data && cp -a /tmp/data/. {data}/ && "
        "rm -r /tmp/data && systemctl start bramble-client"
    )
    api.wait_for(CLIENTS)


class stopped:
    """A unit's process frozen, so that it answers nothing and keeps its connection for a while."""

    def __init__(self, host: Host, unit: str) -> None:
        self._host, self._pid = host, host.unit_pid(unit)

    def __enter__(self) -> None:
        self._host.run(f"kill -STOP {self._pid}")

    def __exit__(self, *_: object) -> None:
        self._host.run(f"kill -CONT {self._pid}", check=False)
