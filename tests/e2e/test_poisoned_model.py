"""A model that went bad is given up by itself within three rounds, and clients that use models never use it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_client.use.received import Received
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for

FLAGS = ("--task", str(CLIMATE), "--min-clients", "2", "--deadline", "5m")
FRESH = 150
"""Readings of each client from round to round: as many windows are tested."""


def shuffled(database: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Shuffle the weights of the newest model on the disk; return what they are then."""
    with closing(sqlite3.connect(database)) as connection, connection:
        number, data = connection.execute("SELECT round, weights FROM models ORDER BY round DESC LIMIT 1").fetchone()
        weights = np.random.default_rng(1).permutation(np.frombuffer(data, "<f4"))
        connection.execute("UPDATE models SET weights = ? WHERE round = ?", (weights.tobytes(), number))
    return weights


def play(server: ServerProcess) -> Any:
    server.measure(FRESH)
    return server.play()


def used(client: ClientProcess) -> Received | None:
    """The model that a client forecasts with, as it keeps it."""
    with closing(sqlite3.connect(f"file:{client.folder / 'readings.db'}?mode=ro", uri=True)) as connection:
        kept = [value for (value,) in connection.execute("SELECT value FROM meta") if isinstance(value, str)]
    return next(filter(None, map(Received.read, kept)), None)


@pytest.mark.slow
def test_one_whose_weights_were_shuffled_is_given_up_within_three_rounds(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, *FLAGS, "--epochs", "30")
    with ClientProcess(server.url, tmp_path, name="pi-1") as first, ClientProcess(server.url, tmp_path, name="pi-2") as second:
        try:
            # trained well before, and hardly at all after it: a shuffled model would else be taught again before it is given up
            first.wait_connected()
            second.wait_connected()
            server.measure(1500)
            for _ in range(3):
                assert play(server)["state"] == "committed"
            good = server.api.status()["champion"]["round"]
            server.stop()
            bad = shuffled(tmp_path / "data" / "bramble.db")
            server = ServerProcess(tmp_path, *FLAGS, "--learning-rate", "1e-6", port=server.port)
            wait_for(lambda: server.api.status()["clients"] == 2, "both clients to come back")
            poisoned = server.api.status()["round"]
            for _ in range(3):
                play(server)
                for client in (first, second):
                    model = wait_for(partial(used, client), "the model that it uses")
                    assert not np.array_equal(model.weights, bad), "no client uses it"
            # two rounds were worse, and the third began with the good model again
            (back,) = [record for record in server.api.rounds() if record["rollback_of"]]
            assert (back["round"], back["rollback_of"]) == (poisoned + 3, good)
            assert "in 2 rounds" in back["reason"]
            worst, *_, newest = [record["test"]["error"] for record in server.api.rounds() if record["round"] > poisoned and record["test"]]
            assert newest < worst
        finally:
            server.stop()
