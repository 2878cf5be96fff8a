"""A model that went bad is given up by itself, though clients train on from it, and none that uses models uses it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.e2e.challengers import shuffle_newest, used
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for

FLAGS = ("--task", str(CLIMATE), "--min-clients", "2", "--deadline", "5m", "--epochs", "10")
FRESH = 150
"""Readings of each client from round to round: as many windows are tested."""


@pytest.mark.slow
def test_one_whose_weights_were_shuffled_is_given_up_after_the_round_that_tests_it(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, *FLAGS)
    with ClientProcess(server.url, tmp_path, name="pi-1") as first, ClientProcess(server.url, tmp_path, name="pi-2") as second:
        try:
            first.wait_connected()
            second.wait_connected()
            server.measure(1500)
            for _ in range(3):
                assert server.play()["state"] == "committed"
                server.measure(FRESH)
            good = server.api.status()["champion"]["round"]
            server.stop()
            bad = shuffle_newest(tmp_path / "data", seed=1)
            server = ServerProcess(tmp_path, *FLAGS, port=server.port)
            wait_for(lambda: server.api.status()["clients"] == 2, "both clients to come back")
            server.play()
            assert not any(np.array_equal(weights, bad) for weights in used([first, second])), "no client uses it"
            (back,) = wait_for(lambda: [record for record in server.api.rounds() if record["rollback_of"]], "the good one")
            assert (back["round"], back["rollback_of"]) == (5, good)
            server.measure(FRESH)
            server.play()
            assert server.api.round(4)["test"]["error"] > server.api.round(6)["test"]["error"]
        finally:
            server.stop()
