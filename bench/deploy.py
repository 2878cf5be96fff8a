"""From an inventory to a fleet that learns, on four hosts that really boot systemd. Needs root, and ``tests/fleet/run`` before it.

The controller's cache is warm: the wheels are there and the release is built, as for the second of two fleets.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from typing import Any

from bench.asked import Refused
from bench.table import Row
from tests.fleet.api import Api as Api
from tests.fleet.controller import ROOT as ROOT
from tests.fleet.controller import Controller as Controller
from tests.fleet.controller import half as half
from tests.fleet.fleet import Fleet as Fleet

CLIENTS = {"pi-1", "pi-2", "pi-3"}
PATIENCE_S = 3600
"""For benchmarks that count, which hold on a machine that is busy, too."""
SETTINGS = {"server_mode": "evaluation", "client_sensors": "mock"}
LINE = {"bramble/__init__.py": ('"""', '"""One changed line. ')}
UPGRADE = {"bramble/__init__.py": ('"""', '"""An upgrade. ')}
COUNT = "sum(sqlite3.connect(p).execute('SELECT COUNT(*) FROM samples').fetchone()[0] for p in ['/var/lib/bramble-client/readings.db'])"


def _readings(fleet: Fleet) -> int:
    return sum(int(pi.output(f'python3 -c "import sqlite3; print({COUNT})"')) for pi in fleet.clients)


def _upgrade(fleet: Fleet, controller: Controller, api: Api) -> tuple[int, int, int]:
    """Upgrade the clients while rounds go on; return rounds, rounds that a client missed though it was not restarting, readings lost."""
    better = controller.another_release("upgrade", UPGRADE)
    controller.deploy("--limit", "localhost,hub", source=better).ok()
    api.wait_for(CLIENTS)
    before, records, stop = _readings(fleet), list[dict[str, Any]](), threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            records.append(api.round())

    rounds = threading.Thread(target=go_on)
    rounds.start()
    try:
        controller.deploy(source=better).ok()
    finally:
        stop.set()
        rounds.join()
    lost = sum(record["state"] != "committed" for record in records)
    for client in CLIENTS:
        # One round it was in when it was stopped, and those that began before it was back: all of them follow one another.
        missed = [number for number in range(records[0]["round"], records[-1]["round"] + 1) if client not in api.trained(number)]
        lost += sum(later - earlier > 1 for earlier, later in itertools.pairwise(missed))
    return len(records), lost, before - _readings(fleet)


def needs_hosts() -> None:
    """Refuse to go on where no host can boot."""
    if os.geteuid() != 0 or not (ROOT / ".venv-fleet/bin/ansible-playbook").exists():
        raise Refused("hosts boot for root only, and with .venv-fleet: run tests/fleet/run once, then this as root")


def _next_release(fleet: Fleet, controller: Controller) -> tuple[float, float]:
    """Deploy a release of one changed line to one client; return the megabytes that its host got, ssh and modules included, and kept."""

    def measured() -> tuple[int, int]:
        pi = fleet.clients[0]
        return (
            int(pi.output("sed -n 's/^ *host0: *//p' /proc/net/dev").split()[0]),
            int(pi.output("du -s --block-size=1 /opt/bramble").split()[0]),
        )

    before = measured()
    line = controller.another_release("line", LINE)
    controller.deploy("--limit", f"localhost,{fleet.server.name},{fleet.clients[0].name}", source=line).ok()
    got, kept = (later - earlier for earlier, later in zip(before, measured(), strict=True))
    return got / 1e6, kept / 1e6


def main() -> list[Row]:
    """Deploy to empty hosts, again, and once more with another release."""
    needs_hosts()
    with Fleet(["hub", *sorted(CLIENTS)]) as fleet:
        controller, api = Controller(fleet, SETTINGS), Api(fleet.server)
        source = controller.another_release("source", {})
        controller.deploy("--check", source=source).ok()
        begun = time.monotonic()
        controller.deploy(source=source).ok()
        deployed = time.monotonic() - begun
        api.generate()
        record = api.round()
        first_model = time.monotonic() - begun
        if record["state"] != "committed":
            raise RuntimeError(f"the first round was not committed: {record['reason']}")
        again = controller.deploy(source=source).ok()
        rounds, lost, readings = _upgrade(fleet, controller, api)
        got, kept = _next_release(fleet, controller)
    return [
        Row(
            "from an inventory to the first averaged model",
            first_model,
            "s",
            240,
            f"four booted hosts; the playbook alone {deployed:.0f} s",
        ),
        Row("the same playbook again", again.seconds, "s", 60, "nothing to do"),
        Row("tasks that it changed", sum(again.changed.values()), "", 0),
        Row(
            "rounds lost in an upgrade of three clients", lost, "", 0, f"{rounds} rounds meanwhile, but for those of a client that restarts"
        ),
        Row("readings lost in it", readings, "", 0),
        Row(
            "sent to a client for a release of one changed line",
            got,
            "MB",
            5,
            "all that came in meanwhile, ssh and Ansible's modules included",
        ),
        Row("kept there of it", kept, "MB", 10, "/opt/bramble before and after"),
    ]
