"""A fleet of real processes, one of whose clients measures nonsense: the others learn on as if it were not there, and it is named."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from tests.edge_client.process import CLIMATE, ClientProcess
from tests.server.process import ServerProcess

GOOD = ("attic", "cellar", "garden", "roof")
HOURS, ROUNDS = 400, 3
START = 1_672_531_200


def noise(path: Path) -> Path:
    """Write a recording of a wire that is loose, for mock sensors to replay: anything within each channel's range."""
    rng = np.random.default_rng(1)
    values = [-35.0, 5.0, 320.0] + rng.random((ROUNDS * HOURS + 48, 3)) * [115.0, 90.0, 760.0]
    lines = [f"{START + 3600 * hour},{t:.2f},{h:.2f},{p:.2f}" for hour, (t, h, p) in enumerate(values)]
    path.write_text("time,temperature,humidity,pressure\n" + "\n".join(lines) + "\n")
    return path


def rounds_of(server: ServerProcess) -> list[Any]:
    """Play some rounds; return their records."""
    records = []
    for _ in range(ROUNDS):
        server.measure(HOURS)
        records.append(server.play())
    return records


def test_four_good_clients_learn_beside_one_whose_sensor_is_broken(tmp_path: Path) -> None:
    replay = noise(tmp_path / "noise.csv")
    with contextlib.ExitStack() as house:
        server = house.enter_context(ServerProcess(tmp_path, "--task", str(CLIMATE), "--deadline", "10m"))
        for name in GOOD:
            house.enter_context(ClientProcess(server.url, tmp_path, name=name)).wait_connected()
        house.enter_context(ClientProcess(server.url, tmp_path, "--replay", str(replay), name="loose-wire")).wait_connected()
        records = rounds_of(server)
    for found in records:
        assert found["state"] == "committed"
        assert found["updates"] == len(GOOD)
        assert all(found["clients"][name]["reason"] is None for name in GOOD)
        assert found["clients"]["loose-wire"]["reason"], "nobody is told who was left out"
    last = records[-1]["metrics"]
    assert last["loss_after"] < last["loss_before"] < 1
    assert last["test_error"] < last["test_baseline"]
