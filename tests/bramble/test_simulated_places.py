"""Where simulated clients have their readings from, and who knows which of them."""

from __future__ import annotations

import itertools
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble.simulation import places
from bramble_protocol import BrambleError
from bramble_protocol.kinds import LABEL
from bramble_server import tasks
from tests.bramble.simulated import MANIFEST, everywhere, recorded


def test_nothing_that_is_held_out_is_known_or_shares_a_reading_with_it() -> None:
    reach = (MANIFEST.window + MANIFEST.horizon) * MANIFEST.step_s
    for place in everywhere():
        assert place.held_out.time[0] - place.known.time[-1] >= reach
        assert len(place.held_out) / (len(place.known) + len(place.held_out)) == pytest.approx(0.1, abs=0.01)


def test_stretches_lie_side_by_side_until_there_are_too_many() -> None:
    apart, overlap = places.share(everywhere(), 21, 500)
    assert not overlap
    assert len({each.client for each in apart}) == 21
    for place in everywhere():
        mine = [each for each in apart if each.place is place]
        assert all(first.stop <= second.start for first, second in itertools.pairwise(mine))
    many, overlap = places.share(everywhere(), 700, 500)
    assert overlap
    assert {each.stop - each.start for each in many} == {500}
    assert many[0].windows.time.base is not None  # all share one array


def test_places_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "weather"
    folder.mkdir()
    for name in ("attic", "cellar"):
        recorded(folder / f"{name}.csv", phase=len(name))
    recorded(folder / "shed.csv", columns="temperature")
    found = places.read(str(folder), MANIFEST)
    assert [place.name for place in found] == ["attic", "cellar"]
    assert len(found[0].known) > 100


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (
            lambda folder: recorded(folder / "a.csv", 20),
            "none of a has readings enough for task climate: a window takes 27 consecutive bins of 3600 s",
        ),
        (lambda folder: recorded(folder / "a.csv", columns="temperature"), "a.csv has no humidity"),
        (lambda folder: (folder / "a.txt").touch(), "no file in .* ends in .csv"),
        (lambda folder: folder.rmdir(), "is not a folder of CSV files"),
    ],
)
def test_a_folder_without_a_usable_file(tmp_path: Path, prepare: Any, said: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(BrambleError, match=said):
        places.read(str(folder), MANIFEST)


def offered(monkeypatch: pytest.MonkeyPatch, function: Any) -> None:
    point = EntryPoint("mine", "nowhere:function", places.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: function)
    monkeypatch.setattr(places, "entry_points", lambda group: [point])


def test_readings_of_somebodys_own_function(monkeypatch: pytest.MonkeyPatch) -> None:
    times = 3600.0 * np.arange(300)
    offered(monkeypatch, lambda manifest: {"lab": (times, np.full((300, len(manifest.channels)), 20.0))})
    [place] = places.read("mine", MANIFEST)
    assert (place.name, len(place.known) + len(place.held_out)) == ("lab", 299 - 26 - MANIFEST.window - MANIFEST.horizon)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda manifest: 1 / 0, r"mine failed \(ZeroDivisionError: division by zero\); ask its author"),
        (lambda manifest: {"lab": (np.arange(3), np.zeros((3, 1)))}, r"gives for lab times of shape \(3,\) and values of shape \(3, 1\)"),
        (lambda manifest: {}, "mine gives no place"),
    ],
)
def test_a_function_that_is_of_no_use(monkeypatch: pytest.MonkeyPatch, function: Any, said: str) -> None:
    offered(monkeypatch, function)
    with pytest.raises(BrambleError, match=said):
        places.read("mine", MANIFEST)


def test_a_task_of_exercises_has_people_for_places_and_their_newest_windows_are_of_all_classes() -> None:
    graph = tasks.load("activity")
    found = places.read(None, graph.manifest)
    assert [place.name for place in found] == [f"person-{number:02}" for number in range(1, 11)]
    for place in found:
        assert set(place.known.targets["label"]) == set(range(7))
        assert len(set(place.held_out.targets["label"])) >= 5
        # a window has 100 bins and begins each second: two of them share readings
        assert place.held_out.time[0] - place.known.time[-1] > 2


def test_a_class_of_which_no_place_has_a_window_is_refused_by_name(tmp_path: Path) -> None:
    manifest = tasks.load("activity").manifest
    axes = [channel.key for channel in manifest.channels if channel.key != LABEL]
    rows = [f"{1_672_531_200 + n / 50 + 0.01:.2f},{','.join('1' for _ in axes)},pendulum" for n in range(1500)]
    (tmp_path / "arm.csv").write_text("\n".join([f"time,{','.join(axes)},{LABEL}", *rows]) + "\n")
    with pytest.raises(BrambleError, match=r"data: no place has a window of class abduction, .*, upright row; label some so, or"):
        places.read(str(tmp_path), manifest)
