"""A model that goes bad in a fleet that goes on training: in how many rounds it is given up, and whether any client uses it."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.asked import whole_number
from bench.table import Row
from bramble_protocol.layout import Weights
from bramble_server import tasks
from tests.e2e import challengers
from tests.edge_client.process import ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for

CLIENTS, SEEDS = 3, 5
GOOD, AFTER = 3, 8
"""Rounds before the model goes bad, and those that are looked at afterwards at most."""
BEFORE, FRESH = 1500, 150
"""Hours of readings that each client has at the beginning, and that it takes from round to round."""
PATIENCE = 2
"""The server's ``champion_rounds``."""
MOST = 3
"""Rounds within which a bad model must be given up."""
LOUDER = 100
"""How many times too large the learning rate is."""
FLAGS = ("--champion-rounds", str(PATIENCE), "--min-clients", str(CLIENTS), "--deadline", "5m", "--epochs", "10")


@dataclass(frozen=True)
class Outcome:
    """What became of one fleet."""

    committed: bool
    """Whether a bad model was ever the newest."""
    lasted: int | None
    """Rounds that began with it, or with what was trained from it, until the server went back; None where it did not."""
    uses: int
    """How often a client was seen to use one after a round."""
    looked: int
    """How often it was looked at."""


class Fleet:
    """A server and its clients, all processes, in simulated hours."""

    def __init__(self, folder: Path, stack: ExitStack, seed: int) -> None:
        self._folder, self._stack, self._flags = folder, stack, (*FLAGS, "--task", "climate", "--seed", str(seed))
        self.server = ServerProcess(folder, *self._flags)
        names = [f"pi-{seed}{number}" for number in range(CLIENTS)]  # a client's world is made from its name
        self.clients = [stack.enter_context(ClientProcess(self.server.url, folder, name=name)) for name in names]
        self._all_there()

    def again(self, *flags: str) -> None:
        """Start the server anew on what is on its disk."""
        self.server = ServerProcess(self._folder, *self._flags, *flags, port=self.server.port)
        self._all_there()

    def play(self) -> dict[str, Any]:
        """Have a round after some new readings; return its record."""
        self.server.measure(FRESH)
        record: dict[str, Any] = self.server.play()
        wait_for(self._settled, "the server to go back, if it is to")
        return record

    def _settled(self) -> bool:
        champion = self.server.api.status()["champion"]
        return champion is None or champion["worse"] < PATIENCE

    def _all_there(self) -> None:
        wait_for(lambda: self.server.api.status()["able"] == CLIENTS, "all clients")


def shuffled(fleet: Fleet, seed: int) -> list[Weights]:
    """Shuffle the newest model on the disk; return it."""
    fleet.server.stop()
    bad = challengers.shuffle_newest(fleet.server.folder / "data", seed)
    fleet.again()
    return [bad]


def hasty(fleet: Fleet, seed: int) -> list[Weights]:
    """Train much too fast from now on: what comes of it is bad, beginning with the next round."""
    fleet.server.stop()
    fleet.again("--learning-rate", str(LOUDER * tasks.load("climate").manifest.config.learning_rate))
    return []


WAYS = {"weights shuffled": shuffled, f"a learning rate {LOUDER} times too large": hasty}


def tried(way: str, seed: int) -> Outcome:
    """Play one fleet's life."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        fleet = Fleet(Path(name), stack, seed)
        stack.callback(lambda: fleet.server.stop())
        fleet.server.measure(BEFORE)
        for _ in range(GOOD):
            fleet.play()
        bad, uses, looked = WAYS[way](fleet, seed), 0, 0
        since = 0 if bad else None
        for number in range(1, AFTER + 1):
            fleet.play()
            gone = any(record["rollback_of"] for record in fleet.server.api.rounds())
            if not gone and fleet.server.api.status()["round"] > GOOD:
                bad.append(challengers.newest(fleet.server))
                since = number if since is None else since
            used = challengers.used(fleet.clients)
            uses, looked = uses + sum(any(np.array_equal(weights, one) for one in bad) for weights in used), looked + len(used)
            if gone or (since is not None and number - since > MOST):
                break
        outcome = Outcome(since is not None, number - since if gone and since is not None else None, uses, looked)
        print(f"  {way}, seed {seed}: {outcome}", flush=True)
        return outcome


def main() -> list[Row]:
    rows, seeds = [], whole_number("BRAMBLE_BENCH_SEEDS", SEEDS)
    for way in WAYS:
        found = [tried(way, seed) for seed in range(seeds)]
        bad = [one for one in found if one.committed]
        longest = max((one.lasted or AFTER for one in bad), default=0)
        told = (
            f"{len(bad)} of {seeds} fleets committed one; rounds until it went back: {', '.join(str(one.lasted) for one in bad) or 'none'}"
        )
        rows.append(Row(f"{way}: rounds until given up, the longest", longest, "", MOST, told))
        rows.append(
            Row(f"{way}: uses by a client", sum(one.uses for one in found), "", 0, f"looked at {sum(one.looked for one in found)} times")
        )
    return rows
