"""What a flood costs everybody else: one hostile peer of each kind; how soon ``/healthz`` answers, and whether rounds commit."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench import loopback
from bench.flooding import KINDS
from bench.loopback import Process, fleet, running, wait_for
from bench.table import Row
from bramble.api import Server

GOOD, PARAMETERS = 10, 10_000
SECONDS = 8.0
"""How long each flood lasts."""
PAUSE = 0.02
"""Seconds between two questions."""


def answers(url: str, seconds: float) -> list[float]:
    """Ask for ``/healthz`` again and again, each time over a new connection; return how long each answer took."""
    took, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        asked = time.monotonic()
        Server(url, timeout=60).healthy()
        took.append(time.monotonic() - asked)
        time.sleep(PAUSE)
    return took


def measured(server: loopback.Server, kind: str) -> tuple[float, int]:
    """Return the 95th percentile of the answers' times during a flood, and the rounds that were committed meanwhile."""
    before = server.api.status()["round"]
    if kind == "none":
        took = answers(server.url, SECONDS)
    else:
        with TemporaryDirectory() as folder:
            flood = Process("-m", "bench.flooding", kind, str(server.port), log=Path(folder, "log"))
            try:
                flood.line()
                took = answers(server.url, SECONDS)
            finally:
                flood.end()
    return float(np.quantile(took, 0.95)), server.api.status()["round"] - before


def main() -> list[Row]:
    rows = []
    flags = ("--rounds", "1000000", "--min-clients", str(GOOD), "--deadline", "5s")
    with running(*flags, parameters=PARAMETERS) as server, fleet(server.url, GOOD) as report:
        wait_for(lambda: server.api.status()["round"] > 0, "a first round")
        for kind in ("none", *KINDS):
            p95, rounds = measured(server, kind)
            name = "without a flood" if kind == "none" else f"{kind.replace('_', ' ')}: {(KINDS[kind].__doc__ or '').rstrip('.').lower()}"
            rows.append(Row(f"/healthz p95, {name}", p95, "s", 1, f"{rounds} rounds committed in {SECONDS:g} s", p95 <= 1 and rounds > 0))
        (seen,) = report()
    rows.append(Row("good clients that lost their connection", seen["disconnects"], "", 0, f"of {GOOD}"))
    return rows
