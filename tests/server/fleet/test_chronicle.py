"""What is kept of each client's past: its log, its machine over time, and what came from it."""

from __future__ import annotations

import pytest

from bramble_protocol.health import Health
from bramble_server.fleet.chronicle import EVENTS, EVERY, POINTS, SLOWEST, Chronicle
from bramble_server.fleet.registry import Registry
from bramble_server.transport.handlers import size_of
from tests.server.fleet.test_registry import hello

T0 = 1_700_000_000.0


def test_a_week_of_reports_is_a_bounded_course_in_which_no_spike_is_lost() -> None:
    kept = Chronicle()
    for number in range(20_000):
        hot, low = number == 7_654, number == 12_345
        report = Health(T0 + EVERY * number - (90 if low else 1), soc_temperature=93.0 if hot else 50.0, memory_free=6.0 if low else 200.0)
        kept.measured("attic", report, T0 + EVERY * number)
    told = kept.to_json("attic")["health"]
    assert POINTS // 2 <= len(told["t"]) <= POINTS
    assert told["t"] == sorted(told["t"])
    assert told["t"][0] == T0
    assert told["t"][-1] + told["every"] > T0 + EVERY * 19_999, "the newest is in it"
    assert (max(told["soc_temperature"]), min(told["memory_free"]), min(told["clock_offset"])) == (93.0, 6.0, -90.0)
    assert set(told["disk_free"]) == {None}, "what a machine does not tell is not made up"


def test_of_a_month_of_reports_the_newest_ten_days_are_looked_back_on() -> None:
    kept = Chronicle()
    for number in range(30 * 24 * 4):
        kept.measured("attic", Health(T0 + 900 * number, soc_temperature=number), T0 + 900 * number)
    told = kept.to_json("attic")["health"]
    assert (told["every"], len(told["t"])) == (SLOWEST, POINTS)
    assert told["t"][-1] - told["t"][0] == pytest.approx(10 * 86400, rel=0.1)
    assert told["soc_temperature"][-1] == 30 * 24 * 4 - 1


def test_what_is_wrong_now_and_then_is_kept_for_the_stretch_in_which_it_was() -> None:
    kept = Chronicle()
    for at, throttled in ((0.0, 1), (1.0, 1 << 16), (2.0, 4)):
        kept.measured("attic", Health(T0 + at, throttled=throttled), T0 + at)
    assert kept.to_json("attic")["health"]["throttled"] == [5.0], "what has been since the boot is not what is"


def test_the_log_is_bounded_and_says_nothing_twice_in_a_row() -> None:
    kept = Chronicle()
    for number in range(3 * EVENTS):
        kept.note("attic", T0 + number, "left", f"{number // 2}" * 500)
    events = kept.to_json("attic")["events"]
    assert len(events) == EVENTS
    assert events[-1] == {"at": T0 + 3 * EVENTS - 2, "kind": "left", "text": (f"{(3 * EVENTS - 1) // 2}" * 500)[:200]}


@pytest.mark.parametrize(("payload", "size"), [(({"a": 1},), 9), (({"w": memoryview(b"x" * 40)},), 12 + 40), ((float,), 0)])
def test_what_came_is_counted_by_kind_with_its_attachments(payload: object, size: int) -> None:
    kept = Chronicle()
    for _ in range(2):
        kept.came("attic", "health", size_of(payload))
    assert kept.to_json("attic")["came"] == {"health": {"messages": 2, "bytes": 2 * size}}


def test_the_registry_writes_what_begins_and_what_is_over_and_forgets_with_the_client() -> None:
    registry = Registry()
    registry.join(hello("attic"), "1", "10.0.0.1")
    for told in ({}, {"sensors_gone": ("roof",)}, {"sensors_gone": ("roof",), "not_now": "bytes"}, {}):
        registry.report("attic", Health(registry.clock.time(), **told))
    registry.judged("climate", {"attic": "left out of round 3: too far"})
    registry.leave("1")
    events = registry.chronicle.to_json("attic")["events"]
    assert [event["kind"] for event in events] == ["connected", "sensor", "resting", "well", "resting", "left out", "left"]
    assert events[1]["text"] == "sensor roof does not answer"
    assert events[3]["text"] == "sensor gone or changed: over"
    registry.forget("attic")
    assert registry.chronicle.to_json("attic") == {"since": None, "events": [], "health": None, "came": {}}
