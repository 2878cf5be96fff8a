"""A real server that believes in a fleet of thousands: nobody connects, its registry and its store are told what a fleet would have said.

    .venv/bin/python -m bench.crowd --clients 2000

It prints its address once it is ready. ``SICK`` is the truth that an inspector is to find.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bramble_protocol.features import FEATURES
from bramble_protocol.health import Health
from bramble_protocol.messages import Channel, Column, DataUpdate, Handshake
from bramble_server.app import Server
from bramble_server.settings import ServerSettings
from bramble_server.store import mirror, rounds
from bramble_server.transport.gevent import engine

CHANNELS = (Channel("temperature", "°C"), Channel("humidity", "%"), Channel("pressure", "hPa"))
SICK = {
    0.11: ("power", "under-voltage"),
    0.23: ("sensor", "sensor roof does not answer"),
    0.37: ("stale", "has no fresh sample"),
    0.52: ("memory", "is out of memory"),
    0.71: ("diverging", "diverged"),
    0.93: ("gone", "is gone"),
}
"""Where in the fleet somebody is sick, as a part of it, with the kind and some words of the reason."""
RECORD, SPIKE = 20_000, 61.5
"""Readings that the first client has mirrored, and the one in degrees that none is like."""
ROUNDS = 3
EVERY = 86400.0
"""A sampling interval so long that nobody's samples grow stale while somebody looks."""


def sick(clients: int) -> dict[str, tuple[str, str]]:
    """Return who is sick in a fleet of so many, and with what."""
    return {name(int(part * clients)): what for part, what in SICK.items()}


def name(number: int) -> str:
    """Return a client's id."""
    return f"pi-{number:04d}"


def report(kind: str | None, now: float) -> Health:
    """Return what a client says of itself that has this, or is well."""
    wrong: dict[str, dict[str, Any]] = {
        "power": {"throttled": 1},
        "sensor": {"sensors_gone": ("roof",)},
        "stale": {"sample_age": 6 * EVERY},
        "memory": {"memory_free": 7.0},
    }
    well: dict[str, Any] = {"sample_age": 20.0, "sample_every": EVERY, "throttled": 0, "memory_free": 210.0, "disk_free": 9000.0}
    return Health(now, **{**well, "soc_temperature": 52.0, "disk": "ok", **wrong.get(kind or "", {})})


def populate(server: Server, clients: int) -> None:
    """Tell the server of a fleet, and of the rounds that it took part in."""
    now, ill, registry = time.time(), sick(clients), server.registry
    for number in range(clients):
        groups = {"building": "ABCD"[number % 4], "floor": str(number // 4 % 5)}
        hello = Handshake(2, name(number), channels=CHANNELS, version="0.1.0", features=FEATURES, groups=groups, instance=f"i{number}")
        registry.join(hello, f"sid-{number}", "10.0.0.1")
        kind = ill.get(name(number), ("", ""))[0]
        registry.report(name(number), report(kind, now))
        if kind == "gone":
            registry.leave(f"sid-{number}")
    task = server.coordinator.foundations[0].task
    with server.store.writing() as connection:
        mirror.add(connection, name(0), DataUpdate(1, *_record(now)))
        for number in range(1, ROUNDS + 1):
            names = [name(each) for each in range(clients) if ill.get(name(each), ("", ""))[0] != "gone"]
            began = now - 600 * (ROUNDS + 1 - number)
            rounds.opened(connection, task, number, began, names, began)
            rounds.parts(connection, number, [_part(each, number, began, ill.get(each, ("", ""))[0]) for each in names])
            metrics = {"loss_before": 0.2 / number, "loss_after": 0.17 / number, "test_error": 4.0 / number, "test_baseline": 4.4}
            metrics |= {"test_error.lower_quartile": 3.6 / number, "test_error.upper_quartile": 5.4 / number}
            rounds.committed(connection, number, began + 8, len(names) - 1, metrics)


def _record(now: float) -> tuple[tuple[float, ...], dict[str, Column]]:
    """Return times and readings of two weeks, a minute apart, with one spike of ``SPIKE``."""
    warm = [20 + 5 * math.sin(2 * math.pi * minute / 1440) for minute in range(RECORD)]
    warm[RECORD // 3] = SPIKE
    return tuple(now - 60.0 * (RECORD - minute) for minute in range(RECORD)), {"temperature": Column("°C", tuple(warm))}


def _part(client: str, number: int, began: float, kind: str) -> dict[str, object]:
    spread = 1 + int(client[-2:]) / 250
    told = {
        "client": client, "received": began + 0.2, "train_start": began + 0.3, "train_end": began + 3, "replied": began + 4.0,
        "bytes": 11_396, "samples": 300, "loss_before": 0.2 * spread / number, "loss_after": 0.17 * spread / number,
        "test_error": 4.0 * spread / number, "test_baseline": 4.4 * spread, "test_samples": 60, "update_norm": 0.3, "cosine": 0.6,
        "distance": 0.2 * spread, "reason": None,
    }  # fmt: skip
    if kind == "diverging":
        told |= dict.fromkeys(("replied", "loss_after", "test_error", "test_baseline"), None)
        told["reason"] = "training diverged with learning rate 0.01; lower learning_rate"
    return told


def serve() -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(ServerSettings(data_dir=Path(folder), port=asked.port))
        try:
            populate(server, asked.clients)
            listener = server.listen()
            print(f"ready on http://127.0.0.1:{listener.port}", flush=True)
            engine.wait_for_signal()
            server.coordinator.stop()
            listener.stop()
        finally:
            server.close()
    return 0


if __name__ == "__main__":
    sys.exit(serve())
