"""The judge: which measurements it believes, and by how much a value may change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble_client.hal.channels import quantity
from bramble_client.hal.drivers.base import Measurement
from bramble_client.hal.readings import Judge, Quality, Reading

ROW = quantity("temperature")
TWO = ("temperature", "humidity")


def at(t: float, temperature: float, humidity: float = 50.0) -> Measurement:
    return Measurement(t, {"temperature": temperature, "humidity": humidity})


def judged(*measurements: Measurement, frozen_after: int | None = None, confirmed: bool = True) -> list[tuple[Quality, Quality]]:
    judge = Judge(TWO, frozen_after)
    outcome = [judge.judge(measurement, confirmed) for measurement in measurements]
    return [(one["temperature"], one["humidity"]) for one in outcome]


@pytest.mark.parametrize("quality", list(Quality))
def test_only_a_good_reading_may_be_used(quality: Quality) -> None:
    reading = Reading("roof", "temperature", 20.0, "°C", 1.0, None, 1, quality, False)
    assert reading.good is (quality is Quality.GOOD)


def test_it_is_blank_until_it_trusts_a_value_and_when_it_has_forgotten() -> None:
    judge = Judge(TWO, None)
    assert judge.blank
    judge.judge(at(0, 500.0, 500.0), confirmed=True)
    assert judge.blank, "nothing of that could be trusted"
    judge.judge(at(1, 20.0, 500.0), confirmed=True)
    assert not judge.blank
    judge.forget()
    assert judge.blank


def test_channels_are_judged_one_by_one() -> None:
    assert judged(at(0, 20.0), at(1, 99.0), at(2, 20.0, 101.0)) == [
        (Quality.GOOD, Quality.GOOD),
        (Quality.RANGE, Quality.GOOD),
        (Quality.GOOD, Quality.RANGE),
    ]


def test_all_channels_together_are_frozen_or_none() -> None:
    """Humidity that stands still beside a temperature that moves is weather, not a stuck chip."""
    assert judged(*[at(t, 20.0 + t / 100) for t in range(9)], frozen_after=2) == [(Quality.GOOD, Quality.GOOD)] * 9
    assert judged(*[at(t, 20.0) for t in range(5)], frozen_after=2) == [(Quality.GOOD,) * 2] * 2 + [(Quality.FROZEN,) * 2] * 3


def test_it_counts_equal_measurements_in_a_row_and_begins_anew_with_each_change() -> None:
    values = [20.0, 20.0, 20.1, 20.1, 20.0, 20.0]
    assert judged(*[at(t, value) for t, value in enumerate(values)], frozen_after=2) == [(Quality.GOOD,) * 2] * 6


def test_after_it_has_forgotten_equal_measurements_are_counted_from_none() -> None:
    judge = Judge(TWO, 2)
    for t in range(2):
        judge.judge(at(t, 20.0), confirmed=True)
    judge.forget()
    assert [judge.judge(at(t, 20.0), confirmed=True)["temperature"] for t in range(3)] == [Quality.GOOD, Quality.GOOD, Quality.FROZEN]


def test_without_a_limit_a_chip_may_repeat_itself_for_ever() -> None:
    assert judged(*[at(t, 20.0) for t in range(200)]) == [(Quality.GOOD, Quality.GOOD)] * 200


def test_what_cannot_be_is_out_of_range_even_if_it_is_frozen_too() -> None:
    assert judged(*[at(t, 130.0) for t in range(5)], frozen_after=2)[-1] == (Quality.RANGE, Quality.FROZEN)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("seconds", [0.0, 10.0, 300.0, 86_400.0])
def test_a_change_needs_a_second_look_from_the_step_on_that_the_time_between_allows(seconds: float, sign: int) -> None:
    judge = Judge(("temperature",), None)
    start = 1000.0
    judge.judge(Measurement(start, {"temperature": 20.0}), confirmed=True)
    step = ROW.jump + ROW.slope * min(seconds, 300.0)
    inside = Measurement(start + seconds, {"temperature": 20.0 + sign * (step - 1e-6)})
    beyond = Measurement(start + seconds, {"temperature": 20.0 + sign * (step + 1e-6)})
    assert judge.suspects(inside) == []
    assert judge.suspects(beyond) == ["temperature"]
    assert judge.judge(beyond, confirmed=False) == {"temperature": Quality.JUMP}
    assert judge.judge(beyond, confirmed=True) == {"temperature": Quality.GOOD}


def test_a_jump_is_not_what_the_next_value_is_compared_with() -> None:
    judge = Judge(("temperature",), None)
    qualities = []
    for t, (value, confirmed) in enumerate([(20.0, True), (60.0, False), (20.2, False)]):
        qualities.append(judge.judge(Measurement(float(t), {"temperature": value}), confirmed)["temperature"])
    assert qualities == [Quality.GOOD, Quality.JUMP, Quality.GOOD]


def test_without_a_trusted_value_every_channel_is_suspect() -> None:
    judge = Judge(TWO, None)
    assert judge.suspects(at(0, 20.0)) == ["temperature", "humidity"]
    assert judge.judge(at(0, 20.0), confirmed=False) == {"temperature": Quality.JUMP, "humidity": Quality.JUMP}


@given(st.floats(-60, 85), st.floats(-60, 85), st.floats(0, 1000), st.floats(0, 1000))
def test_two_measurements_agree_whichever_came_first(a: float, b: float, t: float, later: float) -> None:
    judge = Judge(("temperature",), None)
    one, two = Measurement(t, {"temperature": a}), Measurement(t + later, {"temperature": b})
    seconds = two.at - one.at
    assert judge.agree(one, two, "temperature") is judge.agree(two, one, "temperature")
    assert judge.agree(one, two, "temperature") is (abs(a - b) <= ROW.jump + ROW.slope * min(seconds, 300.0))


def test_no_number_agrees_with_no_number() -> None:
    nan = Measurement(0.0, {"temperature": float("nan")})
    assert not Judge(("temperature",), None).agree(nan, nan, "temperature")
