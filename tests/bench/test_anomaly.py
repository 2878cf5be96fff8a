"""Faults of a simulated sensor as the bench injects them, a window at a time."""

from __future__ import annotations

import numpy as np
import pytest

from bench.anomaly import AFTER, FAULTS, WINTER, read
from bramble_client.hal.sim.world import Synthetic
from bramble_client.learn.windows import windows
from bramble_server import tasks

NOON = WINTER + 12 * 3600.0 + 60.0
WORLD = Synthetic("pi-0")


def test_a_sensor_that_is_stuck_stands_still_from_its_fault_on() -> None:
    _, well = read(WORLD, "pi-0", NOON, 61)
    _, stuck = read(WORLD, "pi-0", NOON, 61, "stuck", 40)
    np.testing.assert_array_equal(stuck[: AFTER - 1], well[: AFTER - 1])
    assert (stuck[AFTER + 1 :] == stuck[AFTER + 1]).all()
    assert len(np.unique(well[AFTER + 1 :, 0])) > 10


@pytest.mark.parametrize(("fault", "least"), [("drift", 3.0), ("spikes", 5.0), ("window opened", 9.0)])
def test_other_faults_move_the_temperature_only_once_they_begin(fault: str, least: float) -> None:
    _, well = read(WORLD, "pi-0", NOON, 61)
    _, broken = read(WORLD, "pi-0", NOON, 61, fault, FAULTS[fault][1][0])
    off = np.abs(broken - well)[:, 0]
    assert off[: AFTER - 1].max() < 0.2
    assert off[AFTER:].max() > least


def test_what_is_read_is_a_window_of_the_task() -> None:
    manifest = tasks.load("anomaly").manifest
    found = windows(*read(WORLD, "pi-0", NOON, manifest.window + 1), manifest)
    assert len(found) == 1
    assert found.inputs["hour"].shape == (1, 60, 2)
