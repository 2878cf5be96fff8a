"""A fleet of ten clients' hosts and a hub that really boot: deployed, deployed again, upgraded by one changed line. Needs root.

The figures beside them were measured with the play as it was before it compared what runs with what is wanted, on a machine of this kind.
"""

from __future__ import annotations

import resource

from bench.asked import whole_number
from bench.deploy import LINE, SETTINGS, Api, Controller, Fleet, needs_hosts
from bench.table import Row

HOSTS = whole_number("BRAMBLE_BENCH_HOSTS", 10)


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> list[Row]:
    """Deploy, again, and a release with the same dependencies."""
    needs_hosts()
    clients = {f"pi-{number}" for number in range(1, HOSTS + 1)}
    with Fleet(["hub", *sorted(clients)]) as fleet:
        controller, api = Controller(fleet, SETTINGS), Api(fleet.server)
        source = controller.another_release("source", {})
        first = controller.deploy(source=source).ok()
        api.wait_for(clients, 120)
        begun = _processor()
        again = controller.deploy(source=source).ok()
        whole = _processor() - begun
        begun = _processor()
        controller.deploy("--limit", "localhost,hub", source=source).ok()
        each = (whole - (_processor() - begun)) / HOSTS
        line = controller.deploy(source=controller.another_release("line", LINE)).ok()
        api.wait_for(clients, 120)
    hosts = f"{HOSTS} clients and a hub on this machine"
    return [
        Row("deployed to empty hosts", first.seconds, "s", None, f"{hosts}; 226 before"),
        Row("the same playbook again", again.seconds, "s", 30, f"{hosts}; 81 before"),
        Row("tasks that it changed", sum(again.changed.values()), "", 0),
        Row(
            "the controller's processor for each converged client", each, "s", 0.5, "with all of them, less with none; 2.8 with all before"
        ),
        Row("a release of one changed line", line.seconds, "s", 80, f"{hosts}, each through its gate; 206 before"),
    ]
