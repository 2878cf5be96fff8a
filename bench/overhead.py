"""What a round costs besides training: clients that answer at once, beside a bare echo of the same bytes.

Measured at a client: from one ``client_update`` to the next while rounds run one after the other, so that everything is in
it: opening the round, sending, validating, folding, measuring, the commit to disk, and starting over.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np

from bench.loopback import Server, fleet, rounds_ended, running, wait_for
from bench.table import Row

CLIENTS, PARAMETERS, ROUNDS, PARTS = 20, 10_000, 50, 5


def periods(asked: list[float]) -> list[float]:
    """Return the times between rounds in milliseconds, without the first round's, which warms up."""
    return [1000 * (later - earlier) for earlier, later in itertools.pairwise(asked[1:])]


def bramble(rounds: int) -> list[float]:
    with (
        running("--rounds", str(rounds), "--min-clients", str(CLIENTS), parameters=PARAMETERS) as server,
        fleet(server.url, CLIENTS) as report,
    ):
        rounds_ended(server, rounds)
        (seen,) = report()
    if seen["accepted"] != rounds * CLIENTS:
        raise RuntimeError(f"{seen['accepted']} updates were accepted: {seen['refused'][:3]}")
    return periods(seen["asked"])


def echo(rounds: int, websocket: str) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server("-m", "bench.echo", str(CLIENTS), str(rounds), str(PARAMETERS), websocket, log=Path(folder, "log"))
        try:
            with fleet(server.url, CLIENTS) as report:
                asked: list[float] = []

                def all_asked() -> bool:
                    asked.extend(report()[0]["asked"])
                    return len(asked) >= rounds

                wait_for(all_asked, "the echo's rounds")
        finally:
            server.end()
    return periods(asked)


def main() -> list[Row]:
    ours: list[float] = []
    bare: dict[str, list[float]] = {"stock": [], "own": []}
    for _ in range(PARTS):  # in turns, so that whatever else the machine does hits all alike
        ours += bramble(ROUNDS // PARTS + 2)
        for websocket, times in bare.items():
            times += echo(ROUNDS // PARTS + 2, websocket)
    rows = [
        Row(f"a round of {CLIENTS} clients, {PARAMETERS / 1000:g} k parameters", float(np.median(ours)), "ms", None, f"{len(ours)} rounds")
    ]
    for websocket, name in (("stock", "a bare Flask-SocketIO echo"), ("own", "the same echo over Bramble's WebSocket")):
        theirs = float(np.median(bare[websocket]))
        rows.append(Row(f"round overhead, times {name}", float(np.median(ours)) / theirs, "", 3, f"echo: {theirs:.1f} ms"))
    return rows
