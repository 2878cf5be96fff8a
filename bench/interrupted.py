"""A play that is killed at twenty points, and run once more each time, on two hosts that really boot.

Needs root, and ``tests/fleet/run`` before it. ``BRAMBLE_BENCH_CUTS`` names those of the points that are tried: ``3`` the first three,
``5-8`` four of them.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.asked import span
from bench.deploy import PATIENCE_S, SETTINGS, Api, Controller, Fleet, half, needs_hosts
from bench.table import Row

INSTALL = "Install packages and releases"
TOKENS, ALL = ("tokens",), ("authority", "certificate", "tokens")


class Cut(NamedTuple):
    """Where a play is killed, every other time half a second later, and what there is to do for that play besides settings."""

    task: str
    """As it begins."""
    nth: int = 1
    """The how many-th of its name."""
    of: str = "client"
    """Whose settings are other ones than before."""
    half: str = ""
    """What the client's packages or release have got by then, if it is to be in the middle of an installation."""
    before: str = ""
    """What every host does first, such as to forget the wheel that it has, which would not be sent again."""
    renew: tuple[str, ...] = ()
    variables: Mapping[str, Any] = {}


CUTS = (
    # While hosts are prepared and releases come to them: nothing that runs is touched. The first is that of empty hosts.
    Cut(INSTALL, half="bin/python"),
    Cut("Have systemd read its settings", variables={"base_units_journal_max": "40M"}),
    Cut("Bring whom they trust", renew=TOKENS),
    Cut("Serve it for as long as this takes", before="rm -f /opt/bramble/*/releases/*/*.whl"),
    Cut("Get the files", before="rm -f /opt/bramble/*/releases/*/*.whl"),
    Cut(INSTALL, half="pyvenv.cfg"),
    Cut(INSTALL, half="lib/python3*/site-packages/bramble-packages.pth"),
    Cut(INSTALL, half="bin/bramble"),
    Cut(INSTALL, half="etc"),
    Cut(INSTALL, half="*.whl"),
    # The server's switch, the inspector's, the client's.
    Cut("Note that a roll-out begins"),
    Cut("Bring whom it trusts and who it is", renew=TOKENS),
    Cut("Switch to the release", of="server"),
    Cut("Run it, also after a reboot", of="server"),
    Cut("See it through a round", of="server"),
    Cut("Run it, also after a reboot", 2, of="server", renew=TOKENS),
    Cut("Bring whom it trusts and who it is", 3, renew=ALL),
    Cut("Run it, also after a reboot"),
    Cut("See the batch through the server's eyes, and through a round"),
    # The end: what was good before goes.
    Cut("Show the new, and forget the tokens of before", renew=ALL),
)
SETTING = {"server": ("server_deadline", "deadline", 60), "client": ("client_sample_every", "sample_every", 0)}
"""A setting of each as the inventory calls it, as its file does, and seconds to which the number of the cut is added."""
UNITS = {"hub": ["bramble-server.service", "bramble-inspector.service"], "pi-1": ["bramble-client.service"]}
LEFT = (
    "cd /opt/bramble; ls -d incoming served 2>/dev/null; for f in */releases/* */packages/*; do [ -e $f/.complete ] || echo $f; done; "
    "systemctl is-active --quiet bramble-install bramble-wheels && echo units; true"
)


def _ill(fleet: Fleet, controller: Controller, api: Api, source: Path, line: str) -> str:
    """Run it once more; return what is not as it was wanted, nothing where all is, and a further run finds nothing to do."""
    healed = controller.deploy(source=source)
    if healed.code:
        return f"the run after it failed on {', '.join(healed.failed)}"
    api.wait_for({"pi-1"}, 120)
    for name, units in UNITS.items():
        for unit in units:
            if (said := fleet[name].output(f"/opt/bramble/given {unit}")) != "same":
                return f"{unit} runs with something {said}"
        if left := fleet[name].output(LEFT):
            return f"{name} keeps {' '.join(left.split())}"
    if not any(line in host.output("cat /etc/bramble/*.toml").splitlines() for host in fleet.hosts.values()):
        return f"no host has {line}"
    again = controller.deploy(source=source)
    return "" if again.code == 0 and set(again.changed.values()) == {0} else f"a further run: exit {again.code}, changed {again.changed}"


def main() -> list[Row]:
    """Cut and heal."""
    needs_hosts()
    chosen, ill = span("BRAMBLE_BENCH_CUTS", len(CUTS)), list[str]()
    with Fleet(["hub", "pi-1"]) as fleet:
        controller, api = Controller(fleet, {**SETTINGS, "server_min_clients": 1}), Api(fleet.server)
        controller.patience, source = PATIENCE_S, controller.another_release("source", {})
        if chosen.start:
            controller.deploy(source=source).ok()
        for number, cut in enumerate(CUTS[chosen.start : chosen.stop], chosen.start + 1):
            begun = time.monotonic()
            variable, setting, least = SETTING[cut.of]
            controller.variables |= {variable: f"{least + number}s", **cut.variables}
            renew = ["-e", json.dumps({"identity_renew": cut.renew})] if cut.renew else []
            come_to = half(fleet["pi-1"], cut.half) if cut.half else lambda: True
            try:
                for host in fleet.hosts.values() if cut.before else ():
                    host.run(cut.before)
                controller.cut(cut.task, *renew, nth=cut.nth, come_to=come_to, later=number % 2 / 2, source=source)
                why = _ill(fleet, controller, api, source, f'{setting} = "{least + number}s"')
            except (AssertionError, subprocess.TimeoutExpired) as error:  # it never came to that task, or its client did not come back
                why = " ".join(str(error).split())[-300:]
            ill += [f"{cut.task} ({cut.nth}): {why}"] if why else []
            print(f"  {number} {cut.task} ({cut.nth}): {why or 'healed'} after {time.monotonic() - begun:.0f} s", flush=True)
    said = f"not: {'; '.join(ill)}" if ill else "the units run what is wanted, nothing is left behind, and a further run changes nothing"
    which = f"cuts {chosen.start + 1} to {chosen.stop} of a play"
    return [Row(f"{which}: healed by one more run", len(chosen) - len(ill), "", len(chosen), said, bound="at least")]
