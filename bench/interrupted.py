"""A play that is killed at twenty points, and run once more each time, on two hosts that really boot. Needs root."""

from __future__ import annotations

import os

from bench.deploy import SETTINGS, Api, Controller, Fleet, needs_hosts
from bench.table import Row

POINTS = [
    # While hosts are prepared and releases come to them: nothing that runs is touched.
    ("Bring whom they trust", 1), ("Say what is missing", 1), ("Have the server's host serve them", 1), ("Fetch them", 1),
    ("Make the release's environment", 1), ("Let it find the packages", 1), ("Install the release itself", 1),
    ("Ask it for its version", 1), ("Bring the files that go to /etc with it", 1), ("Mark it complete", 1),
    # The server's, then the client's switch.
    ("Note that a roll-out begins", 1), ("Bring whom it trusts and who it is", 1), ("Switch to the release", 1),
    ("Run it, also after a reboot", 1), ("Note that it proved itself", 1), ("Ask the server who is there, once for the whole fleet", 1),
    ("Switch to the release", 2), ("Run it, also after a reboot", 2), ("See how it does", 2), ("Keep it beside what it ran before", 1),
]  # fmt: skip
"""Tasks that the play is killed at as they begin, the how many-th of their name. Each time settings differ, and tokens every other time."""
UNITS = {"hub": ["bramble-server.service"], "pi-1": ["bramble-client.service"]}


def _healed(fleet: Fleet, controller: Controller, api: Api, number: int) -> bool:
    """Run it once more, and say whether all runs as it was wanted; a further run finds nothing to do."""
    if controller.deploy().code:
        return False
    api.wait_for({"pi-1"}, 120)
    same = all(fleet[name].output(f"/opt/bramble/given {unit}") == "same" for name, units in UNITS.items() for unit in units)
    live = f'deadline = "{60 + number}s"' in fleet.server.output("cat /etc/bramble/server.toml")
    return same and live and set(controller.deploy().ok().changed.values()) == {0}


def main() -> list[Row]:
    """Cut and heal."""
    needs_hosts()
    points = POINTS[: int(os.environ.get("BRAMBLE_BENCH_CUTS", len(POINTS)))]
    with Fleet(["hub", "pi-1"]) as fleet:
        controller, api, ill = Controller(fleet, {**SETTINGS, "server_min_clients": 1}), Api(fleet.server), list[str]()
        controller.deploy().ok()
        for number, (task, nth) in enumerate(points, 1):
            controller.variables |= {"server_deadline": f"{60 + number}s", "client_sample_every": f"{number}s"}
            renew = ["-e", '{"identity_renew": ["tokens"]}'] if number % 2 else []
            controller.cut(task, *renew, nth=nth)
            if not _healed(fleet, controller, api, number):
                ill.append(f"{task} ({nth})")
    said = f"not: {', '.join(ill)}" if ill else "the units run what is wanted, and a further run changes nothing"
    return [Row(f"cut at {len(points)} points: not healed by one more run", len(ill), "", 0, said)]
