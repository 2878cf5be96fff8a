"""While a client has too few readings to train it says how long that will take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bramble_client.learn.gathering import NotEnoughData, enough, span
from bramble_client.learn.windows import windows
from bramble_protocol.graph import Manifest
from tests.edge_client.learn.test_kinds_of_windows import EITHER
from tests.edge_client.learn.test_windows import START, minutely

ROOM = replace(EITHER, least=4)
"""A window of 3 bins whose target is 2 ahead, and four of them: 8 whole bins, the ninth minute's reading closes the last."""


def said(count: int, manifest: Manifest = ROOM, later: float = 0.0) -> NotEnoughData | None:
    times, values = minutely(count)
    try:
        enough(windows(times, values, manifest), times, values, manifest, times[-1] + later if count else START)
    except NotEnoughData as error:
        return error
    return None


@pytest.mark.parametrize("count", range(1, 9))
def test_it_says_when_the_reading_comes_that_makes_enough_of_them(count: int) -> None:
    refused = said(count)
    assert refused is not None
    assert refused.ready_at == START + 60.0 * 8
    assert str(refused).startswith("no training window yet: ")
    assert str(refused).endswith(f"; first training in {9 - count} min")


def test_then_it_trains() -> None:
    assert said(9) is None


def test_how_many_windows_there_are_is_said_once_there_is_one() -> None:
    assert str(said(7)) == "no training window yet: 2 of 4 windows; first training in 2 min"


def test_after_a_gap_it_begins_to_count_anew() -> None:
    times, values = minutely(14)
    times, values = np.delete(times, 6), np.delete(values, 6, 0)
    kept = times[:9], values[:9]  # minutes 0 to 5, and 7 to 9: three windows, one of them for a target beyond the gap
    with pytest.raises(NotEnoughData, match=r"3 of 4 windows; first training in 3 min") as refused:
        enough(windows(*kept, ROOM), *kept, ROOM, kept[0][-1])
    assert refused.value.ready_at is not None
    there = int(np.searchsorted(times, refused.value.ready_at, side="right"))
    assert len(windows(times[:there], values[:there], ROOM)) >= 4
    assert len(windows(times[: there - 1], values[: there - 1], ROOM)) < 4


def test_nobody_says_when_readings_have_stopped_or_a_channel_never_came() -> None:
    stopped, never = said(5, later=600), said(0)
    assert stopped is not None
    assert never is not None
    assert stopped.ready_at is never.ready_at is None
    times, values = minutely(5)
    values[:, 0] = np.nan
    with pytest.raises(NotEnoughData, match=r"no reading of a; task test needs 5 consecutive bins of 60 s, and one reading after them$"):
        enough(windows(times, values, ROOM), times, values, ROOM, times[-1])


def test_times_are_said_in_minutes_and_long_ones_in_hours() -> None:
    assert [span(seconds) for seconds in (1, 61, 7199, 7200, 90_000)] == ["1 min", "2 min", "2 h", "2 h", "25 h"]
