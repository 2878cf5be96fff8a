"""Simulated rooms: the same again from the same seed, plausible indoors, and recordings that mock sensors replay."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bramble_client.hal.sim import recordings, rooms


def test_a_seed_gives_the_same_room_and_another_one_another() -> None:
    (times, values), (_, again), (_, other) = (rooms.readings(seed, 300) for seed in ("a", "a", "b"))
    np.testing.assert_array_equal(values, again)
    assert not np.allclose(values, other)
    np.testing.assert_array_equal(np.diff(times), 60.0)


def test_what_there_was_does_not_depend_on_how_long_is_asked_for() -> None:
    np.testing.assert_array_equal(rooms.readings("a", 100)[1], rooms.readings("a", 300)[1][:100])


def test_it_is_as_warm_and_as_damp_as_a_heated_room() -> None:
    for seed in range(10):
        _, values = rooms.readings(str(seed), 1440)
        assert 8 < values[:, 0].min() < values[:, 0].max() < 28
        assert 3 < values[:, 1].min() < values[:, 1].max() < 100
        assert 980 < values[:, 2].min() < values[:, 2].max() < 1030


def test_it_is_written_as_a_recording(tmp_path: Path) -> None:
    rooms.write(tmp_path / "room.csv", "a", 120)
    recording = recordings.load(tmp_path / "room.csv")
    times, values = rooms.readings("a", 120)
    read = recording.at(float(times[60]))
    np.testing.assert_allclose([float(read[key] or 0) for key in rooms.KEYS], values[60], atol=1e-3)
