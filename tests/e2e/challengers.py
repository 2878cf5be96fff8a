"""Models that go bad in a running fleet, and what its clients use meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from bramble_client.use.received import Received
from bramble_protocol.layout import Weights
from tests.edge_client.process import ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for


def shuffle_newest(data: Path, seed: int) -> Weights:
    """Shuffle the weights of the newest model in a stopped server's data; return what they are then, shape (parameters,)."""
    with closing(sqlite3.connect(data / "bramble.db")) as connection, connection:
        number, stored = connection.execute("SELECT round, weights FROM models ORDER BY round DESC LIMIT 1").fetchone()
        weights = np.random.default_rng(seed).permutation(np.frombuffer(stored, "<f4"))
        connection.execute("UPDATE models SET weights = ? WHERE round = ?", (weights.tobytes(), number))
    return weights


def newest(server: ServerProcess) -> Weights:
    """Return the weights of the newest model, shape (parameters,)."""
    found = server.api.model()["weights"]
    return np.concatenate([np.ravel(part) for part in found.values()]).astype(np.float32)


def used(clients: Sequence[ClientProcess]) -> list[Weights]:
    """Return the weights of the global model that each client forecasts with, as it keeps them."""
    return [wait_for(partial(_kept, client), f"the model that {client.name} uses").weights for client in clients]


def _kept(client: ClientProcess) -> Received | None:
    with closing(sqlite3.connect(f"file:{client.folder / 'readings.db'}?mode=ro", uri=True)) as connection:
        kept = [value for (value,) in connection.execute("SELECT value FROM meta") if isinstance(value, str)]
    return next(filter(None, map(Received.read, kept)), None)
