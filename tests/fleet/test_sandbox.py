"""The units from inside: a client finds out under its sandbox what it finds out without, and whoever takes one over can do little else."""

from __future__ import annotations

import json

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import Play
from tests.fleet.fleet import Fleet
from tests.fleet.sandbox import inside, possible, python_of

ASKED = """
import json, os, pathlib, time
from bramble_client.learn import builtin
from bramble_client.machine import health
from bramble_client.hal.clock import clock_synchronised
from bramble_client.learn.runner import Runner

folder = pathlib.Path(os.environ["STATE_DIRECTORY"])
found = health.read(folder)
told = {"synchronised": clock_synchronised(), "health": sorted(found), "pins": pathlib.Path("/proc/device-tree").exists()}
try:
    time.clock_settime(time.CLOCK_REALTIME, time.time())
    told["sets"] = True
except OSError:
    told["sets"] = False
runner, graph = Runner(200), builtin.weather_graph()
runner.load(graph.sha256, graph.flatbuffer)
process = pathlib.Path(f"/proc/{runner.pid}")
(limit,) = [line.split()[3] for line in (process / "limits").read_text().splitlines() if line.startswith("Max data size")]
told["training"] = {"memory": int(limit), "oom": int((process / "oom_score_adj").read_text())}
runner.close()
(folder / "told.json").write_text(json.dumps(told))
"""
"""Run as the client is, and without the sandbox."""

FLOOD = """
import json, os, pathlib, sys
for number in range(8000):
    print(number, os.urandom(20_000).hex(), flush=True)
(pathlib.Path(os.environ["STATE_DIRECTORY"]) / "told.json").write_text("{}")
"""
"""Twice what the system's journal may take, whatever the journal makes of it to save room."""

UNITS = {
    "with pins": ("pi-1", "bramble-client"), "mock": ("pi-2", "bramble-client"), "one of many": ("pi-3", "bramble-client@pi-3a"),
    "server": ("hub", "bramble-server"), "inspector": ("hub", "bramble-inspector"),
}  # fmt: skip
ANY = {
    "write to folders", "processes", "MB of memory in one process", "MB of shared memory", "MB in one file", "reach its server",
    "talk to the system's services",
}  # fmt: skip
"""What is possible from inside any unit: what its own user may, in its own folder, and up to its limits."""
SERVICES = ("/run/systemd/journal", "/run/systemd/notify", "/run/systemd/userdb/io.systemd.DynamicUser")
"""Of the system's services: the journal, the one that is told how the unit does, and the one that tells the names of users."""
BESIDES = {
    # These test hosts cannot keep a unit from a device that anybody may open.
    "with pins": {"devices"},
    # The whole network is whom it serves. It reaches its own machine by the address that "its server" stands for.
    "server": {"reach another address", "reach its own machine", "send a datagram to another address"},
    "inspector": {"reach its own machine"},
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("unit", ["with pins", "mock", "one of many"])
def test_the_sandbox_hides_nothing_that_a_client_asks(fleet: Fleet, first_play: Play, unit: str) -> None:
    machine, name = fleet[UNITS[unit][0]], UNITS[unit][1]
    told = inside(machine, name, ASKED)
    machine.run("mkdir -p /tmp/told && cat > /tmp/told/asked.py", stdin=ASKED.encode())
    machine.run(f"STATE_DIRECTORY=/tmp/told setpriv --bounding-set=-all {python_of(name)} /tmp/told/asked.py")
    outside = json.loads(machine.output("cat /tmp/told/told.json && rm -r /tmp/told"))
    assert told["synchronised"] in (True, False), "denied: the clock could never be trusted"
    assert told == outside
    assert not told["sets"]
    assert told["training"] == {"memory": 200 << 20, "oom": 1000}, "training has a process with limits, and goes first"


@pytest.fixture(scope="module")
def found(fleet: Fleet, first_play: Play) -> dict[str, dict[str, str]]:
    """What is possible from inside each unit."""
    return {what: possible(fleet, *unit) for what, unit in UNITS.items()}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("unit", UNITS)
def test_nothing_is_possible_from_inside_but_what_the_unit_is_for(fleet: Fleet, found: dict[str, dict[str, str]], unit: str) -> None:
    more = {what: came for what, came in found[unit].items() if what not in ANY | BESIDES.get(unit, set())}
    if int(fleet[UNITS[unit][0]].output("systemctl --version").split()[1]) < 254:
        more.pop("listen on a port", None)  # Bookworm's systemd cannot keep a unit from it
    assert not more
    assert "reach its server" in found[unit]
    assert all(path.startswith(SERVICES) for path in found[unit]["talk to the system's services"].split())


@pytest.mark.timeout(300)
def test_the_probe_sees_what_is_possible_without_a_sandbox(fleet: Fleet, first_play: Play) -> None:
    found = possible(fleet, *UNITS["with pins"], text="[Service]\nUser=bramble-client\nStateDirectory=bramble-probe\n")
    assert found.keys() >= {
        "run a program of its own", "run a program from memory", "load a library of its own", "memory that can be written and run",
        "system call io_uring_setup", "system call ptrace", "system call process_vm_readv", "new user namespace", "set-user-id file",
        "others' processes seen", "reach another address", "reach its own machine", "listen on a port", "kinds of sockets",
        "shared memory and queues of the system", "a lock in the system's folder",
    }  # fmt: skip
    assert "/run/dbus/system_bus_socket" in found["talk to the system's services"]
    assert int(found["processes"]) > 64
    assert int(found["MB of memory in one process"]) > 1024
    assert int(found["MB in one file"]) > 1024


@pytest.mark.timeout(900)
@pytest.mark.parametrize("unit", UNITS)
def test_what_is_possible_has_an_end(fleet: Fleet, found: dict[str, dict[str, str]], unit: str) -> None:
    name, service = UNITS[unit]
    lines = fleet[name].output(f"systemctl show {service} -p TasksMax,TasksCurrent,MemoryMax").splitlines()
    shown = dict(line.split("=", 1) for line in lines)
    assert int(shown["TasksMax"]) == (64 if "client" in service else 256)
    assert int(shown["MemoryMax"]) >= 400 << 20
    # With pins there is no name space of users, in which processes are counted where systemd cannot, as on these hosts.
    if shown["TasksCurrent"].isdigit() or unit != "with pins":
        assert int(found[unit]["processes"]) < int(shown["TasksMax"])
    if "client" in service:
        assert int(found[unit]["MB of memory in one process"]) <= 1024
        assert int(found[unit]["MB in one file"]) <= 1024
    *runtime, state = found[unit]["write to folders"].split()
    assert state in ("/var/lib/bramble-probe", "/var/lib/private/bramble-probe")
    assert runtime == ([f"/run/{service.replace('@', '/')}"] if "client" in service else []), "where a client says what it forecasts"


def test_instances_on_one_machine_have_a_user_each(fleet: Fleet, first_play: Play) -> None:
    users = {fleet["pi-3"].output(f"stat -c %u /proc/{fleet['pi-3'].unit_pid(f'bramble-client@{one}')}") for one in ("pi-3a", "pi-3b")}
    assert len(users) == 2
    assert "0" not in users


@pytest.mark.timeout(300)
def test_a_flood_of_lines_leaves_the_systems_journal_alone(fleet: Fleet, first_play: Play) -> None:
    pi = fleet["pi-1"]
    pi.run("logger --tag sshd 'somebody was here'")
    inside(pi, "bramble-client", FLOOD)
    kept = pi.output("journalctl --sync; journalctl --no-pager --output=cat --identifier=sshd --grep='somebody was here'")
    assert "somebody was here" in kept
    count = "journalctl --namespace=bramble --no-pager --output=cat --unit=bramble-probe | wc -l"
    assert int(pi.output(count)) < 4000, "it is cut short, too, for the sake of the others in there"


def test_nobody_is_the_worse_for_it(api: Api, found: dict[str, dict[str, str]]) -> None:
    """Forks, memory and floods beside the running units: the fleet learns on."""
    api.wait_for(CLIENTS)
    api.generate()
    assert api.trained(api.round()["round"]) == CLIENTS
