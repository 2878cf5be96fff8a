"""A round of Bramble's beside one of Flower's legacy gRPC server, in one run: clients of both give back what they were sent, at once.

Flower's keeps everything in memory, Bramble's acknowledges what is on the disk. They take turns, so that whatever else the machine
does hits both alike, and of both it is measured at a client: from one request to train to the next.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from bench.apart import PEERS, environment
from bench.loopback import Process, Server, fleet, many_files, reports, running, wait_for
from bench.table import Row

CLIENTS, PARAMETERS = (2, 10, 100), (1_000, 100_000, 1_000_000)
PARTS, WARM = 3, 3
PROMISED_MS = {(2, 1_000): 2.7, (10, 1_000_000): 150}
ENDLESS = 1_000_000


class Window(NamedTuple):
    """Some rounds that followed each other."""

    periods: list[float]
    """Milliseconds from one request to train to the next."""
    cpu: float
    """Milliseconds of the server's processor time for each."""


def watched(server: Server, report: Callable[[], list[dict[str, Any]]], rounds: int) -> Window:
    """Return so many rounds of a fleet in one process, after some that warm up."""

    def asked(count: int) -> list[float]:
        times: list[float] = []

        def enough() -> bool:
            (seen,) = report()
            if seen.get("refused") or seen.get("disconnects"):
                raise RuntimeError(f"not every update was taken: {seen}")
            times.extend(seen["asked"])
            return len(times) > count

        wait_for(enough, f"{count} rounds")
        return times

    last, before = asked(WARM)[-1], server.cpu()
    times = asked(rounds)
    return Window([1000 * float(period) for period in np.diff([last, *times])], 1000 * (server.cpu() - before) / len(times))


def bramble(clients: int, parameters: int, rounds: int) -> Window:
    flags = ("--rounds", str(ENDLESS), "--min-clients", str(clients))
    with running(*flags, parameters=parameters) as server, fleet(server.url, clients) as report:
        return watched(server, report, rounds)


@contextmanager
def flower_fleet(python: Path, url: str, clients: int, folder: Path) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    member = Process(str(PEERS / "flower_clients.py"), url, str(clients), log=folder / "clients.log", python=python)
    try:
        if member.line() != "connected":
            raise RuntimeError("a client of Flower's could not connect")
        yield lambda: reports([member])
    finally:
        member.end()


def flower(python: Path, clients: int, parameters: int, rounds: int) -> Window:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as name:
        log = Path(name, "server.log")
        server = Server(str(PEERS / "flower_server.py"), port, str(clients), str(parameters), log=log, python=python)
        try:
            with flower_fleet(python, server.url, clients, Path(name)) as report:
                return watched(server, report, rounds)
        finally:
            server.end()


def rounds_of(clients: int, parameters: int) -> int:
    """Return how many rounds a part of a cell has: as many as cost a few seconds."""
    return min(60, max(4, 40_000_000 // (clients * parameters)))


def cell(python: Path, clients: int, parameters: int) -> list[Row]:
    rounds = rounds_of(clients, parameters)
    ours, theirs = [], []
    for _ in range(PARTS):
        ours.append(bramble(clients, parameters, rounds))
        theirs.append(flower(python, clients, parameters, rounds))
    mine, other = ([period for part in parts for period in part.periods] for parts in (ours, theirs))
    cpu, their_cpu = (median(part.cpu for part in parts) for parts in (ours, theirs))
    what = f"{clients} clients, {parameters / 1000:,.0f} k parameters"
    both = f"{median(mine):.3g} ms (least {min(mine):.3g}) to {median(other):.3g} (least {min(other):.3g})"
    rows = [
        Row(f"{what}: a round, times Flower's", median(mine) / median(other), "", 1, f"{both}, medians of {len(mine)} rounds"),
        Row(f"{what}: the server's processor time, times Flower's", cpu / their_cpu, "", None, f"{cpu:.3g} ms a round to {their_cpu:.3g}"),
    ]
    if promised := PROMISED_MS.get((clients, parameters)):
        rows.append(Row(f"{what}: a round", median(mine), "ms", promised, "clients and server share the machine"))
    return rows


def main() -> list[Row]:
    many_files()
    python = environment("flower")
    return [row for clients in CLIENTS for parameters in PARAMETERS for row in cell(python, clients, parameters)]
