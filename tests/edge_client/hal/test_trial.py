"""A short run of the long trial: everything goes wrong, and nothing crashes, hangs, gets lost or is believed without reason."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from bench.sensor_faults import CHECKED, PHYSICAL, TOLERANCE, trial
from bramble_client.hal.sim.faults import Kind

pytestmark = pytest.mark.slow
NON_PHYSICAL = tuple(kind for kind in Kind if kind not in PHYSICAL)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", sorted(TOLERANCE))
def test_every_reading_is_accounted_for_while_everything_goes_wrong(name: str) -> None:
    outcome = trial(name, 500, probability=0.03)
    assert outcome.reads == 500
    assert outcome.faults > 50
    assert outcome.unaccounted == 0
    assert outcome.missing > 0
    assert outcome.good > 0.1 * outcome.expected, "the sensor comes back; spikes and drift are held against it for a while"


@pytest.mark.parametrize("name", CHECKED)
def test_a_check_sum_lets_nothing_through(name: str) -> None:
    outcome = trial(name, 1500, NON_PHYSICAL, probability=0.05)
    assert outcome.faults > 200
    assert outcome.wrong.total() == 0


@pytest.mark.parametrize("name", sorted(set(TOLERANCE) - set(CHECKED)))
def test_without_a_check_sum_reading_twice_lets_nothing_through_in_a_short_run(name: str) -> None:
    outcome = trial(name, 500, NON_PHYSICAL, probability=0.02)
    assert outcome.wrong.total() == 0, outcome.wrong


@pytest.mark.parametrize("name", sorted(TOLERANCE))
def test_without_faults_every_value_is_true(name: str) -> None:
    outcome = trial(name, 300, ())
    assert outcome.good == outcome.expected
    assert outcome.wrong.total() == 0


def test_a_trial_is_the_same_again() -> None:
    assert trial("sht3x", 300, seed=5) == trial("sht3x", 300, seed=5)
