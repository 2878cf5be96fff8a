"""What somebody could do who had taken one of Bramble's processes over, tried from inside each unit on hosts that really boot.

Needs root, and ``tests/fleet/run`` before it. These hosts' systemd counts neither tasks nor memory by group, which a Pi's does: what
is said of processes and memory here is what the other limits leave.
"""

from __future__ import annotations

import re

from bench.deploy import PATIENCE_S, Api, Controller, Fleet, needs_hosts
from bench.table import Row
from tests.fleet.sandbox import outcomes

UNITS = {
    "client with pins": ("pi-1", "bramble-client", 1.9), "mock client": ("pi-2", "bramble-client", 1.9),
    "one of many": ("pi-3", "bramble-client@pi-3a", 1.9), "server": ("hub", "bramble-server", 1.5),
    "inspector": ("hub", "bramble-inspector", 1.5),
}  # fmt: skip
"""Host, unit and the exposure that was promised for it."""


def _exposure(fleet: Fleet, host: str, unit: str) -> float:
    found = re.search(r"exposure level for \S+ ([\d.]+)", fleet[host].output(f"systemd-analyze security --no-pager {unit} | tail -1"))
    assert found is not None
    return float(found[1])


def _rows(fleet: Fleet, what: str, host: str, unit: str, promised: float) -> list[Row]:
    tried = outcomes(fleet, host, unit)
    possible = {name: came for name, came in tried.items() if came and came != "0"}
    rows = [
        Row(f"{what}: exposure, as systemd sees it", _exposure(fleet, host, unit), "of 10", limit=promised),
        Row(f"{what}: possible of what was tried", len(possible), ratio_of=f"{len(tried)} things, all others were denied"),
    ]
    for name, came in possible.items():
        amount = float(came) if came.isdigit() else float(len(came.split()) if came.startswith("/") else 1)
        rows.append(Row(f"{what}: {name}", amount, ratio_of="" if came.isdigit() else came))
    return rows


def main() -> list[Row]:
    """Deploy, and look from inside each unit; then see that the fleet still learns."""
    needs_hosts()
    with Fleet(["hub", "pi-1", "pi-2", "pi-3"], {"pi-2": "trixie"}) as fleet:
        controller, api = Controller(fleet, {"server_mode": "evaluation", "client_sensors": "mock"}), Api(fleet.server)
        controller.patience = PATIENCE_S
        controller.host_variables["pi-1"]["client_gpio"] = True
        controller.host_variables["pi-3"]["client_instances"] = ["pi-3a", "pi-3b"]
        controller.deploy(source=controller.another_release("source", {})).ok()
        rows = [row for what, unit in UNITS.items() for row in _rows(fleet, what, *unit)]
        api.generate()
        learned = api.round()["state"] == "committed"
    return [*rows, Row("rounds committed beside all that", float(learned), limit=1, bound="at least", ratio_of="of 1, with every client")]
