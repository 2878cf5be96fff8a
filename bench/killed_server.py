"""A server that is killed (SIGKILL) sixty times in the middle of its rounds: what becomes of the updates that it acknowledged.

Every client adds one to each weight, so the model is its initial value plus the number of committed rounds: an update that was lost or
counted twice would show. ``BRAMBLE_BENCH_KILLS`` says how often.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import websocket

from bench import TESTS
from bench.asked import whole_number
from bench.loopback import Process, wait_for
from bench.table import Row
from bramble import api
from tests.e2e.test_kill_server import POINTS
from tests.ports import kept
from tests.server.pi import Closed, Pi, Refused, update
from tests.server.process import LAYOUT, write_graph

CLIENTS, KILLS, SEED = 4, 60, 7
DYING = TESTS / "server" / "dying.py"
FLAGS = ("--min-clients", str(CLIENTS), "--min-updates", str(CLIENTS), "--deadline", "1h", "--rounds", "1000000", "--keep-rounds", "10000")
ANY = "at any moment"
PHASES = ("before it is on record", *POINTS, ANY)


class Client:
    """Adds one to every weight, comes back by itself, and keeps what it was told. It has a thread of its own."""

    def __init__(self, url: str, name: str) -> None:
        self.acks: list[tuple[int, Any]] = []
        self._url, self._name, self._stopping = url, name, False
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave."""
        self._stopping = True
        self._thread.join()

    def _live(self) -> None:
        while not self._stopping:
            try:
                with Pi(self._url, self._name, within=5.0) as pi:
                    while not self._stopping:
                        asked = pi.next("client_update")
                        weights = (np.frombuffer(asked["weights"], "<f4") + 1).tobytes()
                        self.acks.append((asked["round"], pi.call("training_complete", update(asked["round"], weights=weights))))
            except (Closed, Refused, OSError, AssertionError, websocket.WebSocketException):  # it is away, or has nothing to say
                time.sleep(0.02)


class Trial:
    """A server that is killed and started again on the same port and data."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._chance, self._port = folder, random.Random(SEED), kept()
        self._arguments = ["--port", str(self._port), "--data-dir", str(folder / "data"), "--task", str(write_graph(folder))]
        self._starter = Process("-m", "bench.forking", log=folder / "server.log")
        self.url = f"http://127.0.0.1:{self._port}"
        self.api = api.Server(self.url, timeout=60)
        self.restarts: list[float] = []

    def start(self, *flags: str, die_at: str = "never:0") -> int:
        """Start it; return the number of its process."""
        before = time.monotonic()
        self._starter.say(json.dumps({"script": str(DYING), "arguments": [*self._arguments, *flags], "environment": {"DIE_AT": die_at}}))
        number = int(self._starter.line())
        self._starter.line()  # it is ready
        self.restarts.append(time.monotonic() - before)
        return number

    def die(self, phase: str) -> None:
        """Start it, so that it dies in a phase of one of the next rounds, and wait until it has."""
        last = 0
        if (file := self._folder / "data" / "bramble.db").exists():
            with closing(sqlite3.connect(file)) as database:
                ((last,),) = database.execute("SELECT value FROM meta WHERE name = 'last_round'")
        server = self.start(*FLAGS, die_at="never:0" if phase == ANY else f"{phase}:{int(last) + 2}")
        if phase == ANY:
            moment = self.api.status()["revision"] + self._chance.randint(1, 30)
            wait_for(lambda: self.api.status()["revision"] >= moment, "rounds to go on")
            os.kill(server, signal.SIGKILL)
        if (status := self._starter.line()) != f"{-signal.SIGKILL}":
            raise RuntimeError(f"it was to die {phase}, and ended with {status}")

    def end(self) -> None:
        """Stop what starts it, and with that the last one."""
        self._starter.end()


def history(server: api.Server) -> dict[int, dict[str, Any]]:
    """Return all rounds with their clients, by number."""
    found = dict[int, dict[str, Any]]()
    for number in range(1, server.rounds(limit=1)[-1]["round"] + 1):
        with suppress(api.ServerRefused):  # it was never opened
            found[number] = server.round(number)
    return found


def main() -> list[Row]:
    kills = whole_number("BRAMBLE_BENCH_KILLS", KILLS)
    phases = [PHASES[index % len(PHASES)] for index in range(kills)]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        trial = Trial(Path(name))
        stack.callback(trial.end)
        workers = [Client(trial.url, f"pi-{index}") for index in range(CLIENTS)]
        for index, phase in enumerate(phases):
            trial.die(phase)
            print(f"  {index + 1} {phase}: was up after {trial.restarts[-1]:.1f} s", flush=True)
        last = trial.start("--min-clients", str(CLIENTS))  # without a schedule, so that it stands still once the open round is over
        wait_for(lambda: trial.api.status()["running"] is None, "the last round to end")
        for worker in workers:
            worker.stop()
        rounds, weights = history(trial.api), trial.api.model()["weights"]
        os.kill(last, signal.SIGTERM)
    accepted = {(number, index) for index, worker in enumerate(workers) for number, ack in worker.acks if ack == {"accepted": True}}
    lost = [
        (number, index) for number, index in accepted
        if (record := rounds.get(number)) is None or record["state"] == "abandoned" or record["clients"][f"pi-{index}"]["replied"] is None
    ]  # fmt: skip
    committed = [item for item in rounds.values() if item["state"] == "committed"]
    flat = np.concatenate([np.ravel(weights[tensor.name]) for tensor in LAYOUT.tensors])
    twice = float(abs(flat - np.arange(LAYOUT.size) - len(committed)).max())
    said = ", ".join(f"{count} {phase}" for phase, count in Counter(phases).items())
    return [
        Row("acknowledged updates lost", len(lost), "", 0, f"of {len(accepted):,}; {kills} kills: {said}"),
        Row(
            "updates counted twice or not at all",
            twice,
            "",
            0,
            f"what the model is off from {len(committed):,} rounds of {CLIENTS} clients",
        ),
        Row("rounds abandoned", sum(item["state"] == "abandoned" for item in rounds.values()), "", 0, f"of {len(rounds):,}"),
        Row("up again after", float(np.median(trial.restarts[1:])), "s", None, f"the longest {max(trial.restarts[1:]):.2g} s"),
    ]
