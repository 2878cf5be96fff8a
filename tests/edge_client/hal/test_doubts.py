"""What is said of doubts: once when they begin, once when they end, and no line for every leap."""

from __future__ import annotations

import logging

import pytest

from bramble_client.hal.doubts import Doubts
from bramble_client.hal.readings import Quality
from bramble_client.hal.reputation import ERRATIC, LEAPED, STUCK

GOOD, ALL = {"temperature": Quality.GOOD}, {"temperature": Quality.DOUBTFUL}


def said(caplog: pytest.LogCaptureFixture, *wholes: str | None) -> list[str]:
    caplog.set_level(logging.INFO)
    doubts = Doubts("roof")
    for whole in wholes:
        doubts.report(GOOD if whole is None else ALL, whole)
        assert bool(doubts) is (whole is not None)
    return [record.getMessage().removeprefix("sensor roof is ").split(" and is")[0] for record in caplog.records]


def test_a_sensor_that_is_erratic_or_stuck_is_named_once_and_once_when_that_is_over(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, None, ERRATIC, ERRATIC, None, None, STUCK, STUCK) == ["doubtful", "believed again", "doubtful"]


def test_the_first_leap_is_worth_a_line_and_no_further_one(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, LEAPED, LEAPED, None, LEAPED, None, LEAPED, None) == ["doubtful", "believed again"]


def test_leaps_that_become_a_habit_are_named_again_and_end_once(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, LEAPED, None, LEAPED, ERRATIC, LEAPED, None) == ["doubtful", "believed again", "doubtful", "believed again"]


def test_a_channel_that_no_air_has_is_named_with_what_air_has(caplog: pytest.LogCaptureFixture) -> None:
    doubts = Doubts("desk")
    for _ in range(3):
        doubts.report({"carbon_dioxide": Quality.DOUBTFUL, **GOOD}, None)
    assert bool(doubts)
    doubts.report({"carbon_dioxide": Quality.GOOD, **GOOD}, None)
    assert not doubts
    assert [record.getMessage() for record in caplog.records] == [
        "sensor desk: carbon_dioxide is doubtful and is not used: it is never beyond 150 to 40000 ppm where a sensor can be; "
        "calibrate the sensor, or replace it",
        "sensor desk: carbon_dioxide is good again",
    ]
