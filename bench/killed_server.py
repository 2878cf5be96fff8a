"""A server that is killed (SIGKILL) sixty times in the middle of its rounds: what becomes of the updates that it acknowledged.

Every client adds one to each weight, so the model is its initial value plus the number of committed rounds: an update that was lost or
counted twice would show. ``BRAMBLE_BENCH_KILLS`` says how often.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np

from bench.asked import whole_number
from bench.loopback import wait_for
from bench.own_tests import TESTS
from bench.table import Row
from tests.server.process import LAYOUT, ServerProcess
from tests.server.worker import Worker

CLIENTS, KILLS, SEED = 4, 60, 7
DYING = TESTS / "server" / "dying.py"
FLAGS = ("--min-clients", str(CLIENTS), "--min-updates", str(CLIENTS), "--deadline", "1h", "--rounds", "1000000", "--keep-rounds", "10000")
ANY = "at any moment"
PHASES = (
    "before it is on record",
    "before asking",
    "before an update is on the disk",
    "before an update is acknowledged",
    "before the commit",
    "in the commit",
    "after the commit",
    "before its file is let go",
    ANY,
)


class Trial:
    """A server that is killed and started again on the same port and data, clients that live on, and what they were told."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._chance = folder, random.Random(SEED)
        self.server = ServerProcess(folder, *FLAGS, script=DYING, DIE_AT="never:0")
        self.restarts: list[float] = []

    def again(self, phase: str) -> None:
        """Start it, so that it dies in a phase of one of the next rounds, and wait until it has."""
        with closing(sqlite3.connect(self._folder / "data" / "bramble.db")) as database:
            ((last,),) = database.execute("SELECT value FROM meta WHERE name = 'last_round'")
        before, doomed = time.monotonic(), f"{phase}:{int(last) + 2}" if phase != ANY else "never:0"
        self.server = ServerProcess(self._folder, *FLAGS, port=self.server.port, script=DYING, DIE_AT=doomed)
        self.restarts.append(time.monotonic() - before)
        if phase == ANY:
            moment = self.server.get("/status")["revision"] + self._chance.randint(1, 30)
            wait_for(lambda: self.server.get("/status")["revision"] >= moment, "rounds to go on")
            self.server.kill()
        wait_for(lambda: self.server.process.poll() is not None, f"it to die {phase}")
        self.server.stop()


def history(server: ServerProcess) -> dict[int, dict[str, Any]]:
    """Return all rounds with their clients, by number."""
    newest: int = server.get("/rounds?limit=1")["rounds"][-1]["round"]
    found = {number: server.request("GET", f"/rounds/{number}") for number in range(1, newest + 1)}
    return {number: record for number, (status, record, _) in found.items() if status == 200}


def main() -> list[Row]:
    kills = whole_number("BRAMBLE_BENCH_KILLS", KILLS)
    phases = [PHASES[index % len(PHASES)] for index in range(kills)]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        trial = Trial(Path(name))
        stack.callback(lambda: trial.server.stop())
        workers = [Worker(trial.server.url, f"pi-{index}") for index in range(CLIENTS)]
        for worker in workers:
            stack.callback(worker.stop)
        wait_for(lambda: trial.server.get("/status")["round"] > 0, "the first round")
        trial.server.kill()
        trial.server.stop()
        for index, phase in enumerate(phases):
            trial.again(phase)
            print(f"  {index + 1} {phase}: was up again after {trial.restarts[-1]:.1f} s", flush=True)
        # without a schedule, so that it stands still once the open round is over
        trial.server = ServerProcess(Path(name), "--min-clients", str(CLIENTS), port=trial.server.port)
        wait_for(lambda: trial.server.get("/status")["running"] is None, "the last round to end")
        for worker in workers:
            worker.stop()
        rounds = history(trial.server)
        weights = np.frombuffer(trial.server.request("GET", "/model", {"Accept": "application/octet-stream"})[1], "<f4")
    accepted = {(number, index) for index, worker in enumerate(workers) for number, ack in worker.acks if ack == {"accepted": True}}
    lost = [
        (number, index) for number, index in accepted
        if (record := rounds.get(number)) is None or record["state"] == "abandoned" or record["clients"][f"pi-{index}"]["replied"] is None
    ]  # fmt: skip
    committed = [item for item in rounds.values() if item["state"] == "committed"]
    twice = float(abs(weights - np.arange(LAYOUT.size) - len(committed)).max())
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
        Row("up again after", float(np.median(trial.restarts)), "s", None, f"the longest {max(trial.restarts):.2g} s"),
    ]
