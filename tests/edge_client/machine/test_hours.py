"""Hours of the day, by the clock on the wall: over midnight, and where that clock jumps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble_client.machine.hours import Hours

Zone = Callable[[str], None]


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    def be_in(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    be_in("UTC0")
    yield be_in
    monkeypatch.undo()
    time.tzset()


BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        ("01:00-05:00", ["01:00", "04:59"], ["00:59", "05:00", "13:00"]),
        ("22:00-02:00", ["22:00", "23:59", "00:00", "01:59"], ["02:00", "21:59", "12:00"]),
        ("01:00-02:00, 12:30-13:00,23:00-24:00", ["01:30", "12:30", "23:59"], ["02:00", "13:00", "00:00"]),
        ("0:00-24:00", ["00:00", "23:59"], []),
        ("24:00-1:00", ["00:00"], ["01:00", "23:59"]),
    ],
)
def test_a_time_is_in_them_or_not(zone: Zone, hours: str, inside: list[str], outside: list[str]) -> None:
    parsed = Hours.parse(hours)
    assert [text for text in inside + outside if parsed.has(at(f"2026-11-27T{text}"))] == inside


def test_they_are_those_of_the_wall(zone: Zone) -> None:
    hours = Hours.parse("01:00-05:00")
    zone(BERLIN)
    assert hours.has(at("2026-11-27T00:00"))
    assert not hours.has(at("2026-11-27T04:00"))
    assert hours.has(at("2026-07-27T02:59"))
    assert not hours.has(at("2026-07-27T03:00"))


def test_when_they_begin_again(zone: Zone) -> None:
    hours = Hours.parse("01:00-05:00,13:00-14:00")
    assert hours.next(at("2026-11-27T05:00")) == at("2026-11-27T13:00")
    assert hours.next(at("2026-11-27T14:00:59")) == at("2026-11-28T01:00")


def test_an_hour_that_a_day_does_not_have_is_the_next_days(zone: Zone) -> None:
    zone(BERLIN)  # on 2026-03-29 two o'clock is followed by three, at 01:00 UTC
    assert Hours.parse("02:00-03:00").next(at("2026-03-28T12:00")) == at("2026-03-30T00:00")
    assert Hours.parse("02:30-05:00").next(at("2026-03-28T12:00")) == at("2026-03-29T01:00")
    assert Hours.parse("02:30-05:00").has(at("2026-03-29T01:00"))


def test_an_hour_that_a_day_has_twice_counts_twice(zone: Zone) -> None:
    zone(BERLIN)  # on 2026-10-25 two o'clock comes at 00:00 and at 01:00 UTC
    hours = Hours.parse("02:00-03:00")
    assert [hours.has(at(f"2026-10-25T0{hour}:30")) for hour in range(4)] == [True, True, False, False]


@given(first=st.integers(0, 1439), long=st.integers(1, 1439), now=st.integers(1_600_000_000, 2_000_000_000))
def test_what_comes_next_is_in_them_and_the_minute_before_is_not(first: int, long: int, now: int) -> None:
    end = (first + long) % 1440
    hours = Hours.parse(f"{first // 60:02}:{first % 60:02}-{end // 60:02}:{end % 60:02}")
    later = hours.next(now)
    assert later is not None
    assert hours.has(later)
    assert later > now
    if not hours.has(now):
        assert not any(hours.has(t) for t in range(now, int(later), 60))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("25:00-05:00", "25:00 is no time of a day: they go from 00:00 to 24:00"),
        ("01:60-05:00", "01:60 is no time of a day"),
        ("24:30-05:00", "24:30 is no time"),
        ("01:00-01:00", "01:00-01:00 begins when it ends: for the whole day leave it out"),
        ("", "'' are no hours: expected hours such as 01:00-05:00"),
        ("01:00-05:00,", "'' are no hours"),
        ("01:00", "'01:00' are no hours"),
        ("at night", "'at night' are no hours"),
        ("1-5", "'1-5' are no hours"),
    ],
)
def test_what_are_no_hours_is_refused_with_what_to_write(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Hours.parse(text)
