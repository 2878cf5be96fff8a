"""Thousands of clients on one server: beside an earlier commit of this repository, and ten thousand that stay connected.

``ROUNDS=5`` asks for fewer rounds of the ten thousand.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.asked import Refused, whole_number
from bench.loopback import ROOT, Server, fleet, many_files, running, wait_for
from bench.table import Row
from bramble.api import Server as Api

BEFORE = "a2f909e"
"""The commit that is compared with: its server took a whole fleet's list for every update."""
PARAMETERS = 10_000
CELLS = {1_000: (8, 3), 3_000: (4, 2)}
"""Clients, and how many rounds in how many turns."""
MANY, FEW = 10_000, 1_000
PROCESSES = 4
PAUSE = 0.25
"""Seconds between two questions over HTTP."""
AFTERWARDS = 12
"""Seconds after which the server has given back what the last round's messages took."""
CALM = ("--deadline", "1h", "--ping-interval", "60s", "--ping-timeout", "60s")
"""Ten thousand clients that share two cores with their server answer late; none of them is gone."""


def periods(tree: Path, clients: int, rounds: int) -> list[float]:
    """Return the seconds between rounds of a commit's server; every update has to be taken."""
    flags = ("--rounds", str(rounds), "--min-clients", str(clients))
    with running(*flags, parameters=PARAMETERS, tree=tree) as server, fleet(server.url, clients, 2, protocol=1) as report:
        first = everything(report, rounds * clients)
    return [float(seconds) for seconds in np.diff(first[1:])]


def everything(report: Callable[[], list[dict[str, Any]]], updates: int) -> list[float]:
    """Wait until so many updates were taken, and none refused; return when a first client was asked."""
    asked: list[float] = []
    taken = 0

    def done() -> bool:
        nonlocal taken
        for number, seen in enumerate(report()):
            if seen["refused"] or seen["disconnects"]:
                raise RuntimeError(f"not every update was taken: {seen['disconnects']} clients were dropped, {seen['refused'][:3]}")
            taken += seen["accepted"]
            asked.extend([] if number else seen["asked"])
        return taken >= updates

    wait_for(done, f"{updates} updates")
    return asked


@contextmanager
def earlier() -> Iterator[Path]:
    """Yield the tree of the earlier commit, for as long as it is needed."""
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name, "tree")
        done = subprocess.run(["git", "worktree", "add", "--detach", tree, BEFORE], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(f"commit {BEFORE} cannot be had, so nothing is compared with it: {done.stderr.strip().splitlines()[-1]}")
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=False)


def beside_before() -> list[Row]:
    rows = []
    with earlier() as tree:
        for clients, (rounds, turns) in CELLS.items():
            ours, theirs = [], []
            for _ in range(turns):
                theirs += periods(tree, clients, rounds)
                ours += periods(ROOT, clients, rounds)
            both = f"{median(ours):.3g} s (least {min(ours):.3g}) to {median(theirs):.3g} (least {min(theirs):.3g}), none lost"
            rows.append(Row(f"a round of {clients:,} clients, times that of {BEFORE}", median(ours) / median(theirs), "", 0.5, both))
    return rows


@contextmanager
def asked_all_the_while(url: str) -> Iterator[list[float]]:
    """Ask for ``/healthz`` and ``/status`` again and again, and yield how long each answer took."""
    took: list[float] = []
    done = threading.Event()

    def ask() -> None:
        api = Api(url, timeout=60)
        while not done.wait(PAUSE):
            for question in (api.healthy, api.status):
                began = time.monotonic()
                question()
                took.append(time.monotonic() - began)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took
    finally:
        done.set()
        thread.join()


class Connected:
    """Rounds of a fleet that stays connected: seconds of each, answers over HTTP meanwhile, memory for each client."""

    def __init__(self, clients: int, rounds: int) -> None:
        flags = ("--rounds", str(rounds), "--min-clients", str(clients), "--max-connections", str(clients + 1000))
        with ExitStack() as stack:
            server: Server = stack.enter_context(running(*flags, *CALM, parameters=PARAMETERS))
            alone = server.memory()
            report = stack.enter_context(fleet(server.url, clients, PROCESSES, addresses=True))
            took = stack.enter_context(asked_all_the_while(server.url))
            began = server.cpu()
            asked = everything(report, rounds * clients)
            self.cpu = (server.cpu() - began) / rounds / clients
            wait_for(lambda: server.api.status()["running"] is None, "the last commit")
            time.sleep(AFTERWARDS)
            self.memory = (server.memory() - alone) / clients
            self.still = server.api.status()["clients"]
        self.each = median(np.diff(asked).tolist()) / clients
        self.answers = float(np.quantile(took, 0.95))


def many() -> list[Row]:
    rounds = whole_number("ROUNDS", 20, 2)
    few, most = Connected(FEW, min(rounds, 10)), Connected(MANY, rounds)
    what = f"{MANY:,} clients in {PROCESSES} processes, {PARAMETERS / 1000:g} k parameters"
    each = f"{1000 * most.each:.3g} ms to {1000 * few.each:.3g}"
    return [
        Row(f"updates of {MANY:,} clients lost", 0, "", 0, f"of {rounds * MANY:,}; {what}"),
        Row("clients still connected at the end", most.still, "", MANY, bound="at least"),
        Row(
            f"time per client and round, times that at {FEW:,}",
            most.each / few.each,
            "",
            1.3,
            each,
        ),
        Row("the server's processor time per client and round", 1000 * most.cpu, "ms", None, f"{1000 * few.cpu:.3g} ms at {FEW:,}"),
        Row("/healthz and /status p95 meanwhile", most.answers, "s", 1, f"{few.answers:.3g} s at {FEW:,}"),
        Row("the server's memory for each client", 1000 * most.memory, "kB PSS", 120, f"{1000 * few.memory:.3g} kB at {FEW:,}"),
    ]


def main() -> list[Row]:
    many_files()
    return [*beside_before(), *many()]
