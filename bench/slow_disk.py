"""A server on a card, as many have: each sync is made 20 ms slow. How many a round of two clients costs, and who waits for them.

Needs strace, which counts and delays them, those of SQLite too.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.asked import Refused
from bench.loopback import Server, fleet, wait_for, write_graph
from bench.table import Row

CLIENTS, PARAMETERS, ROUNDS, WARM = 2, 1000, 60, 10
SYNC_S = 0.02
MOST = 4
"""Syncs of a round, with what it takes to tell each client that its update is kept."""
SYNCS = "fsync,fdatasync"


def slow(log: Path) -> list[str]:
    """Return what has a Python process become another one under strace, which notes its syncs in a file."""
    strace = ["strace", "-D", "-f", "-qq", "-e", f"trace={SYNCS}", "-e", f"inject={SYNCS}:delay_enter={SYNC_S * 1e6:.0f}", "-o", str(log)]
    return ["-c", f"import os, sys; os.execvp('strace', [*{strace!r}, sys.executable, *sys.argv[1:]])"]


def main() -> list[Row]:
    if shutil.which("strace") is None:
        raise Refused("slow_disk: strace is not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noted = folder / "syncs"
        flags = ("--port", "0", "--data-dir", str(folder / "server"), "--task", str(write_graph(folder, PARAMETERS)))
        schedule = ("--rounds", str(ROUNDS), "--min-clients", str(CLIENTS))
        server = Server(*slow(noted), "-m", "bramble_server", *flags, *schedule, log=folder / "server.log")
        waits: list[float] = []

        def reached(number: int) -> tuple[int, int] | None:
            began = time.monotonic()
            now = server.api.status()["round"], len(noted.read_text().splitlines())
            waits.append(time.monotonic() - began)
            return now if now[0] >= number else None

        try:
            with fleet(server.url, CLIENTS) as report:
                warm = wait_for(lambda: reached(WARM), "some rounds")
                done = wait_for(lambda: reached(ROUNDS), "all of them")
                (seen,) = report()
        finally:
            server.end()
    if seen["accepted"] != ROUNDS * CLIENTS:
        raise RuntimeError(f"{seen['accepted']} updates were accepted: {seen['refused'][:3]}")
    syncs = (done[1] - warm[1]) / (done[0] - warm[0])
    said = f"each made {1000 * SYNC_S:.0f} ms slow, a round of {CLIENTS} clients, {PARAMETERS / 1000:g} k parameters"
    return [
        Row("syncs of a round", syncs, "", MOST, f"{said}, {done[0] - warm[0]} rounds"),
        Row("such a round", 1000 * float(np.median(np.diff(seen["asked"][1:]))), "ms", None, "median"),
        Row("an answer of /status meanwhile", 1000 * max(waits), "ms", 1000, f"the longest of {len(waits)}"),
    ]
