"""Ten wrong releases and settings on booted hosts: each must be caught before a second host has it, the fleet learning throughout.

Needs root, and ``tests/fleet/run`` before it. ``BRAMBLE_BENCH_WRONGS`` names those that are tried: ``3`` the first three, ``5-8`` four.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.asked import span
from bench.deploy import PATIENCE_S, Api, Controller, Fleet, needs_hosts
from bench.table import Row

CLIENTS = {"pi-1", "pi-2"}
SETTINGS = {"server_mode": "evaluation", "client_sensors": "mock", "server_deadline": "60s", "client_settings": {"reconnect_max": "2s"}}
CLIENT_RUN = "def run(settings: ClientSettings) -> int:"
TRAINER_RUN = "        start = self._clock.time()\n        ready = self._ready(update.graph"
MAY_TRAIN = "        rest = None if self._rehearsing else "
AGENT, TRAINER = "edge_client/bramble_client/agent.py", "edge_client/bramble_client/learn/trainer.py"
CLIENT = "edge_client/bramble_client/commands/run.py"
FITTING = "edge_client/bramble_client/learn/fitting.py"
COMMITS = "server/bramble_server/rounds/commits.py"
COMMIT = "        aggregate, pooled = open_round.aggregate("


class Wrong(NamedTuple):
    """Something wrong."""

    what: str
    edits: Mapping[str, tuple[str, str]] = {}
    """Texts to replace in the sources, by file."""
    variables: Mapping[str, Any] = {}
    """Variables of the inventory."""
    sensors: str = ""
    """A list of sensors for one client."""


WRONGS = (
    Wrong("a client that ends at its start", {CLIENT: (CLIENT_RUN, f"{CLIENT_RUN}\n    raise SystemExit(9)")}),
    Wrong("training raises", {TRAINER: (TRAINER_RUN, f"        raise ZeroDivisionError('wrong')\n{TRAINER_RUN}")}),
    Wrong("training raises in rounds alone", {
        AGENT: (
            MAY_TRAIN, f"        if not self._rehearsing:\n            raise ZeroDivisionError('wrong')\n{MAY_TRAIN}",
        )
    }),
    Wrong("training gives no numbers", {
        FITTING: (
            '            layout.join([result(found, f"next_w', '            np.float32("nan") * layout.join([result(found, f"next_w',
        )
    }),
    Wrong("training hangs", {TRAINER: (TRAINER_RUN, f"        time.sleep(1e9)\n{TRAINER_RUN}")}),
    Wrong("a server that commits no round", {COMMITS: (COMMIT, f"        raise ZeroDivisionError('wrong')\n{COMMIT}")}),
    Wrong("a wrong type in server_settings", variables={"server_settings": {"keep_models": "many"}}),
    Wrong("an unknown key in client_settings", variables={"client_settings": {"reconect_max": "2s"}}),
    Wrong("server_every: soon", variables={"server_every": "soon"}),
    Wrong("a list of sensors with a driver that there is not", sensors='[[sensor]]\ndriver = "bme208"\n'),
)  # fmt: skip


def _as_it_is(fleet: Fleet) -> list[str]:
    """Return what the clients' hosts run, to the last setting."""
    return [
        pi.output("readlink /opt/bramble/client/current; cat /etc/bramble/* /etc/systemd/system/bramble* | sha256sum")
        for pi in fleet.clients
    ]


def _caught(wrong: Wrong, number: int, fleet: Fleet, controller: Controller, api: Api, source: Path) -> bool:
    """Deploy something wrong; return whether it was caught before the second client, and all goes on as before."""
    before = _as_it_is(fleet)
    arguments: list[str] = []
    if wrong.edits:
        source = controller.another_release(f"wrong-{number}", wrong.edits, source)
    if wrong.sensors:
        path = controller.folder / "wrong.toml"
        path.write_text(wrong.sensors)
        controller.host_variables["pi-1"]["client_sensors_file"] = str(path)
    if wrong.variables:
        arguments = ["-e", json.dumps(wrong.variables)]
    try:
        play = controller.deploy(*arguments, source=source)
        api.wait_for(CLIENTS, 120)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        print(f"  {wrong.what}: NOT CAUGHT: {error}", flush=True)
        return False
    finally:
        controller.host_variables["pi-1"].pop("client_sensors_file", None)
    caught = play.code != 0 and set(play.failed) <= {"localhost", "hub", "pi-1"} and _as_it_is(fleet) == before
    print(f"  {wrong.what}: {'caught' if caught else 'NOT CAUGHT'} after {play.seconds:.0f} s, failed {play.failed}", flush=True)
    return caught


def _whole_round(api: Api) -> bool:
    """Hold a round; return whether it was committed with every client."""
    try:
        record = api.round()
    except AssertionError as error:
        print(f"  no round: {error}", flush=True)
        return False
    return bool(record["state"] == "committed") and api.trained(record["round"]) == CLIENTS


def main() -> list[Row]:
    """Deploy a fleet, and then ten wrong things to it, one after the other, with a round after each."""
    needs_hosts()
    chosen = span("BRAMBLE_BENCH_WRONGS", len(WRONGS))
    with Fleet(["hub", *sorted(CLIENTS)]) as fleet:
        controller, api = Controller(fleet, SETTINGS), Api(fleet.server)
        controller.patience = PATIENCE_S
        source = controller.another_release("source", {})
        controller.deploy(source=source).ok()
        api.wait_for(CLIENTS, 120)
        api.generate()
        whole, missed, states = [_whole_round(api)], list[str](), list[str]()
        for number, wrong in enumerate(WRONGS[chosen.start : chosen.stop]):
            if not _caught(wrong, number, fleet, controller, api, source):
                missed.append(wrong.what)
            whole.append(_whole_round(api))
        while "state" in (record := api.get(f"/rounds/{len(states) + 1}")):
            states.append(record["state"])
    said = f"missed: {', '.join(missed)}" if missed else "no other client had it, and those that had run as before"
    which, caught = f"wrong releases and settings {chosen.start + 1} to {chosen.stop}", len(chosen) - len(missed)
    after = "one before the first, and one after each"
    return [
        Row(f"{which}: caught before the second client", caught, "", len(chosen), said, bound="at least"),
        Row("rounds after them, with every client", sum(whole), "", len(whole), after, bound="at least"),
        Row("rounds committed in all, those of the gates too", states.count("committed"), ratio_of=f"of {len(states)}"),
    ]
