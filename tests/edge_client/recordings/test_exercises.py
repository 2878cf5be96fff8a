"""The recordings of exercises: whose they are, in the HAL's units, and made from the source as its page says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bramble_client.hal.channels import TABLE
from bramble_client.hal.drivers.mpu6050 import G_RANGES, MPU6050
from bramble_client.recordings.exercises import CHANNELS, CLASSES, HERTZ, PAUSE_S, STEPS, Person, extract, people


@pytest.fixture(scope="module")
def everybody() -> dict[str, Person]:
    return people()


def test_there_are_ten_people_and_each_did_all_seven_exercises(everybody: dict[str, Person]) -> None:
    assert list(everybody) == [f"person-{number:02}" for number in range(1, 11)]
    for person in everybody.values():
        assert set(person.labels) == set(range(len(CLASSES)))
        assert person.values.shape == (len(person.times), len(CHANNELS))


def test_readings_lie_in_the_middle_of_bins_of_a_fiftieth_of_a_second_and_exercises_apart(everybody: dict[str, Person]) -> None:
    for person in everybody.values():
        bins = np.floor(person.times * HERTZ).astype(np.int64)
        steps, change = np.diff(bins), np.diff(person.labels) != 0
        assert steps.min() == 1
        assert (steps[change] >= PAUSE_S * HERTZ).all()
        assert ((steps == 1) | (steps >= PAUSE_S * HERTZ)).all()


def test_values_are_in_the_units_of_the_channel_table_and_within_8_g_but_not_4(everybody: dict[str, Person]) -> None:
    assert CHANNELS == MPU6050.channels
    values = np.concatenate([person.values for person in everybody.values()])
    for key, column in zip(CHANNELS, values.T, strict=True):
        assert TABLE[key].low < column.min() < column.max() < TABLE[key].high
    strongest = np.abs(values).max(0)
    assert 4 * extract.G < strongest[:3].max() < 8 * extract.G <= max(G_RANGES) * extract.G
    assert 1000 < strongest[3:].max() < 2000
    # on average the watch feels its own weight
    assert np.linalg.norm(values[:, :3], axis=1).mean() == pytest.approx(extract.G, rel=0.15)


def source() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "X": [rng.normal(0, 1, (size, 6)) for size in (5, 4, 3)],
        "y": np.array([1, 0, 2]),
        "side": np.array([1.0, 0.0, 0.0]),
        "subject": np.array([2, 2, 1]),
        "X_labels": ["ax", "ay", "az", "wx", "wy", "wz"],
    }


def test_the_source_becomes_counts_of_metres_per_second_squared_and_degrees_in_order_of_people_and_exercises() -> None:
    data = source()
    made = extract.arrays(data)
    assert made["lengths"].tolist() == [3, 4, 5]
    assert made["subjects"].tolist() == [1, 2, 2]
    assert made["labels"].tolist() == [2, 0, 1]
    values = np.cumsum(made["changes"], axis=0) * np.asarray(STEPS)
    g, radians = np.split(np.concatenate([data["X"][i] for i in (2, 1, 0)]), 2, axis=1)
    np.testing.assert_allclose(values[:, :3], g * 9.80665, atol=0.0101)
    np.testing.assert_allclose(values[:, 3:], radians * 180 / np.pi, atol=0.51)


def test_a_source_with_other_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="three axes of acceleration and three of rotation"):
        extract.arrays({**source(), "X_labels": ["ax", "ay"]})


def test_a_change_beyond_sixteen_bits_is_refused() -> None:
    data = source()
    data["X"][0][2] = 40.0, 0, 0, 0, 0, 0
    extract.arrays(data)
    data["X"][0][2] = -320.0, 0, 0, 0, 0, 0
    data["X"][0][3] = 320.0, 0, 0, 0, 0, 0
    with pytest.raises(ValueError, match="16 bits"):
        extract.arrays(data)
