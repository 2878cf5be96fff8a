"""Clocks that are not known yet, and clocks that ran ahead: what they dated is dated anew, waits, or is dropped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from numpy.testing import assert_array_equal

from bramble_client.acquire.cycles import Cycles
from bramble_client.acquire.recorder import Recorder
from bramble_client.acquire.self_paced import SelfPaced
from bramble_client.deliver.outbox import Outbox
from bramble_client.hal import Board, open_board
from bramble_protocol.messages import GenerateData
from tests.waiting import wait_for

YEAR_2099 = 4_080_000_000.0


class Room:
    """A self-paced client's parts, its wall clock in the test's hand."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "sensors.toml").write_text('[[sensor]]\ndriver = "bme280"\nevery = 0.05\n')
        self.board: Board = open_board("mock", seed="pi-1", configuration=folder / "sensors.toml", live=True)
        self.utc: float | None = None
        monkeypatch.setattr(self.board._clock, "utc", lambda: self.utc)
        self.recorder = Recorder(folder / "readings.db", 100_000, commit_every=0.0)
        self.outbox = Outbox(folder / "outbox.db")
        self.sampling = SelfPaced(self.board, self.recorder, self.outbox)

    def samples(self) -> int:
        return len(self.recorder.columns(["temperature"])[0])


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    made = Room(tmp_path, monkeypatch)
    yield made
    made.sampling.stop(60)
    for part in (made.board, made.recorder, made.outbox):
        part.close()


def test_what_a_clock_that_ran_ahead_dated_is_dropped_once_a_good_one_is_known(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    now = time.time()
    room.recorder.append_many((now - 1000 + i, {"temperature": 1.0}) for i in range(100))
    room.recorder.append_many((YEAR_2099 + i, {"temperature": 2.0}) for i in range(50))
    room.recorder.label(YEAR_2099, "sitting")
    room.recorder.set("tested_until", repr(YEAR_2099 + 40))
    for key, t in (("old", now - 500), ("ahead", YEAR_2099)):
        room.outbox.put_readings(key, "data_update", {"t": [t - 1, t]})
    room.utc = now
    room.sampling.start()

    def times() -> Any:
        return room.recorder.columns(["temperature"])[0]

    wait_for(lambda: len(times()) > 100 and times()[-1] < now + 3600, "new readings instead of those of 2099")
    assert room.recorder.labels() == []
    tested = room.recorder.tested_until()
    assert tested is not None
    assert tested <= times()[-1], "what comes is tested again"
    waiting = room.outbox.next()
    assert waiting is not None
    assert waiting.payload["t"] == [now - 501, now - 500]
    room.outbox.remove(waiting)
    assert room.outbox.next() is None
    said = [line for line in caplog.messages if "ran ahead" in line]
    assert len(said) == 1
    assert "50 samples dated after" in said[0]


def test_a_clock_that_is_set_back_while_a_client_runs_is_noticed(room: Room) -> None:
    room.utc = YEAR_2099
    room.sampling.start()
    wait_for(lambda: room.samples() > 3, "readings in 2099")
    room.utc = time.time()
    wait_for(lambda: room.samples() and room.recorder.columns(["temperature"])[0][-1] < YEAR_2099 - 1e6, "only good ones")


def test_a_test_that_ended_in_the_future_ends_with_the_newest_sample(room: Room) -> None:
    room.recorder.append_many((1000.0 + i, {"temperature": 1.0}) for i in range(10))
    for said, found in ((repr(YEAR_2099), 1009.0), ("1004.0", 1004.0), ("warm", None)):
        room.recorder.set("tested_until", said)
        assert room.recorder.tested_until() == found


def test_a_label_is_dated_as_readings_are(room: Room) -> None:
    pressed_at = time.monotonic()
    room.sampling.label(time.time() - 10 * 365 * 86400, "booted in the past")  # a label of ten years ago, by the clock of that moment
    room.sampling.label(time.time(), "sitting")
    assert room.recorder.labels() == []
    room.utc = 1_700_000_000.0
    room.sampling.start()
    wait_for(lambda: len(room.recorder.labels()) == 2, "the labels")
    t, label = room.recorder.labels()[-1]
    assert label == "sitting"
    assert t == pytest.approx(1_700_000_000.0 - (time.monotonic() - pressed_at), abs=60)


def test_a_cycle_of_real_sensors_waits_for_the_clock(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    class Sensors:
        channels, simulated = room.board.channels, False

        def sample(self, t: float | None = None) -> dict[str, float | None]:
            return {"temperature": 20.0}

        def utc(self) -> float | None:
            return room.utc

    cycles = Cycles(Sensors(), room.recorder, room.outbox, pause=0.01)
    cycles.start()
    cycles.ask(GenerateData(1, 1000.0, 60.0, 3))
    wait_for(lambda: "cycle 1 waits until this machine's clock is synchronised" in caplog.text, "the sentence")
    assert not cycles.wait(0.05)
    assert room.samples() == 0
    room.utc = 1_700_000_000.0
    assert cycles.wait(60)
    assert_array_equal(room.recorder.columns(["temperature"])[0], [1_700_000_000.0])
    cycles.ask(GenerateData(2, 1000.0, 60.0, 1))
    room.utc = None
    cycles.stop(60)
