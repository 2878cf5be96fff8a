"""Ten wrong releases and settings on booted hosts: each must be caught before a second host has it, the fleet learning throughout.

Needs root, and ``tests/fleet/run`` before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.deploy import Api, Controller, Fleet, needs_hosts
from bench.table import Row

CLIENTS = {"pi-1", "pi-2"}
SETTINGS = {"server_mode": "evaluation", "client_sensors": "mock", "server_deadline": "60s", "client_settings": {"reconnect_max": "2s"}}
CLIENT_RUN = "def run(settings: ClientSettings) -> int:"
TRAINER_RUN = "        start = time.time()\n        manifest, runtime = self._load(update), self._runner\n"
COMMIT = "        model, pooled = cohort.aggregate("


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
    Wrong("a client that ends at its start", {"edge_client/agent.py": (CLIENT_RUN, f"{CLIENT_RUN}\n    raise SystemExit(9)")}),
    Wrong("training raises", {"edge_client/trainer.py": (TRAINER_RUN, f"        raise ZeroDivisionError('wrong')\n{TRAINER_RUN}")}),
    Wrong("training raises in rounds alone", {
        "edge_client/agent.py": (
            "        result = self._trainer.run(", "        if self._link.up:\n            raise ZeroDivisionError('wrong')\n"
            "        result = self._trainer.run(",
        )
    }),
    Wrong("training gives no numbers", {
        "edge_client/trainer.py": (
            '    return layout.join([result(results, f"next', '    return np.float32("nan") * layout.join([result(results, f"next',
        )
    }),
    Wrong("training hangs", {"edge_client/trainer.py": (TRAINER_RUN, f"        time.sleep(1e9)\n{TRAINER_RUN}")}),
    Wrong("a server that commits no round", {"server/commits.py": (COMMIT, f"        raise ZeroDivisionError('wrong')\n{COMMIT}")}),
    Wrong("a wrong type in server_settings", variables={"server_settings": {"keep_models": "many"}}),
    Wrong("an unknown key in client_settings", variables={"client_settings": {"reconect_max": "2s"}}),
    Wrong("server_every: soon", variables={"server_every": "soon"}),
    Wrong("a list of sensors with a driver that there is not", sensors='[[sensor]]\ndriver = "bme208"\n'),
)  # fmt: skip


def _caught(wrong: Wrong, number: int, controller: Controller, api: Api, source: Path) -> bool:
    """Deploy something wrong; return whether it was caught before the second client, and all goes on as before."""
    before = {name: client["version"] for name, client in api.get("/clients")["clients"].items()}
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
    finally:
        controller.host_variables["pi-1"].pop("client_sensors_file", None)
    api.wait_for(CLIENTS, 120)
    after = {name: client["version"] for name, client in api.get("/clients")["clients"].items()}
    caught = play.code != 0 and set(play.failed) <= {"localhost", "hub", "pi-1"} and after == before
    print(f"  {wrong.what}: {'caught' if caught else 'NOT CAUGHT'} after {play.seconds:.0f} s, failed {play.failed}", flush=True)
    return caught


def main() -> list[Row]:
    """Deploy a fleet, and then ten wrong things to it, one after the other."""
    needs_hosts()
    with Fleet(["hub", *sorted(CLIENTS)]) as fleet:
        controller, api = Controller(fleet, SETTINGS), Api(fleet.server)
        source = controller.another_release("source", {})
        controller.deploy(source=source).ok()
        api.wait_for(CLIENTS, 120)
        api.generate()
        committed, rounds = int(api.round()["state"] == "committed"), 1
        caught: list[str] = []
        for number, wrong in enumerate(WRONGS):
            if _caught(wrong, number, controller, api, source):
                caught.append(wrong.what)
            record = api.round()
            rounds += 1
            committed += record["state"] == "committed" and api.trained(record["round"]) == CLIENTS
        missed = [wrong.what for wrong in WRONGS if wrong.what not in caught]
    return [
        Row(
            "wrong releases and settings caught before the second client",
            len(caught),
            f"of {len(WRONGS)}",
            None,
            "missed: " + ", ".join(missed) if missed else "each undone by itself",
        ),
        Row("rounds lost between them", rounds - committed, "", 0, f"{rounds} rounds, one after each, with every client"),
    ]
