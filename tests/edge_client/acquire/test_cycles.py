"""Cycles that the server asks for. The sensors are real drivers on a simulated bus, or ones whose pace the test sets."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bramble_client.acquire.cycles import Cycles
from bramble_client.acquire.recorder import Recorder
from bramble_client.deliver.outbox import Outbox
from bramble_client.hal import open_board
from bramble_client.hal.sim import recordings
from bramble_protocol.messages import Channel, DataUpdate, GenerateData
from tests.waiting import wait_for

CHANNELS = (Channel("temperature", "°C"), Channel("humidity", "%"))


class Sensors:
    """Sensors that count, and that wait for the test where it wants them to."""

    def __init__(self, simulated: bool = True) -> None:
        self.channels: tuple[Channel, ...] = CHANNELS
        self.simulated = simulated
        self.asked: list[float | None] = []
        self.failures: queue.SimpleQueue[Exception] = queue.SimpleQueue()
        self.gate = threading.Event()
        self.gate.set()

    def sample(self, t: float | None = None) -> dict[str, float | None]:
        self.asked.append(t)
        assert self.gate.wait(60)
        if not self.failures.empty():
            raise self.failures.get()
        return {"temperature": float(len(self.asked)), "humidity": None}

    def utc(self) -> float | None:
        return time.time()


class Room:
    def __init__(self, folder: Path, sensors: Sensors) -> None:
        self.sensors = sensors
        self.recorder = Recorder(folder / "readings.db", 100_000)
        self.outbox = Outbox(folder / "outbox.db")
        self.cycles = Cycles(sensors, self.recorder, self.outbox, pause=0.0)
        self.cycles.start()

    def updates(self) -> list[DataUpdate]:
        """Take what waits for the server."""
        found = []
        while (item := self.outbox.next()) is not None:
            assert item.event == "data_update"
            found.append(DataUpdate.from_wire(item.payload))
            self.outbox.remove(item)
        return found

    def done(self, request: GenerateData) -> None:
        assert self.cycles.wait(60), f"waited in vain for cycle {request.cycle}"

    def close(self) -> None:
        self.sensors.gate.set()
        self.cycles.stop(60)
        self.recorder.close()
        self.outbox.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path, Sensors())
    yield made
    made.close()


def test_a_cycle_sets_simulated_sensors_to_each_of_its_times_and_mirrors_what_they_read(room: Room) -> None:
    request = GenerateData(1, 1000.0, 60.0, 3)
    room.cycles.ask(request)
    room.done(request)
    assert room.sensors.asked == [1000, 1060, 1120]
    t, values = room.recorder.columns(["temperature", "humidity"])
    assert_array_equal(t, [1000, 1060, 1120])
    assert_array_equal(values, [[1, np.nan], [2, np.nan], [3, np.nan]])
    (update,) = room.updates()
    assert (update.cycle, update.t) == (1, (1000, 1060, 1120))
    assert update.channels["temperature"].value == (1, 2, 3)
    assert update.channels["humidity"].value == (None, None, None)


def test_the_drivers_read_what_the_recording_holds_at_the_worlds_time(tmp_path: Path) -> None:
    path = next(iter(recordings.builtin().values()))
    board = open_board("mock", replay=path, seed="pi-1")
    recording = recordings.load(path)
    recorder, outbox = Recorder(tmp_path / "readings.db", 1000), Outbox(tmp_path / "outbox.db")
    cycles = Cycles(board, recorder, outbox)
    cycles.start()
    cycles.ask(GenerateData(1, 1672531200.0, 3600.0, 48))
    assert cycles.wait(60)
    t, values = recorder.columns(["temperature", "pressure"])
    expected = [(recording.at(time)["temperature"], recording.at(time)["pressure"]) for time in t]
    assert t.size == 48
    assert_allclose(values, np.array(expected, np.float64), atol=0.1)  # the chip's resolution
    cycles.stop(60)
    for part in (board, recorder, outbox):
        part.close()


def test_real_sensors_are_read_now_and_stamped_as_read(tmp_path: Path) -> None:
    room = Room(tmp_path, Sensors(simulated=False))
    request = GenerateData(1, 1000.0, 60.0, 5)
    room.cycles.ask(request)
    room.done(request)
    assert room.sensors.asked == [None] * 5
    (update,) = room.updates()
    assert len(update.t) == 5
    assert min(update.t) > 1.6e9
    room.close()


def test_a_full_disk_is_said_in_one_line_and_the_next_cycle_is_taken(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forget, full = room.recorder.forget_from, True

    def forgets(t: float) -> int:
        if full:
            raise sqlite3.OperationalError("database or disk is full")
        return forget(t)

    monkeypatch.setattr(room.recorder, "forget_from", forgets)
    room.cycles.ask(GenerateData(1, 1000.0, 60.0, 3))
    assert room.cycles.wait(60)
    (record,) = caplog.records
    assert record.getMessage().startswith("samples of an earlier world cannot be forgotten (database or disk is full)")
    assert record.exc_info is None
    full = False
    request = GenerateData(2, 2000.0, 60.0, 3)
    room.cycles.ask(request)
    room.done(request)
    assert [update.cycle for update in room.updates()] == [1, 2]


def test_a_long_cycle_is_mirrored_in_parts_while_it_is_taken(room: Room) -> None:
    request = GenerateData(1, 0.0, 60.0, 2500)
    room.cycles.ask(request)
    room.done(request)
    updates = room.updates()
    assert [len(update.t) for update in updates] == [1000, 1000, 500]
    assert [t for update in updates for t in update.t] == [60.0 * index for index in range(2500)]


def test_cycles_are_taken_one_after_the_other(room: Room) -> None:
    room.sensors.gate.clear()
    requests = [GenerateData(number, 1000.0 * number, 1.0, 2) for number in (1, 2, 3)]
    for request in requests:
        room.cycles.ask(request)
    room.sensors.gate.set()
    room.done(requests[-1])
    assert [update.cycle for update in room.updates()] == [1, 2, 3]


def test_a_cycle_that_is_asked_for_twice_is_kept_once(room: Room) -> None:
    request, after = GenerateData(1, 1000.0, 60.0, 3), GenerateData(2, 1180.0, 60.0, 1)
    for each in (request, request, after):
        room.cycles.ask(each)
    room.done(after)
    assert list(room.recorder.columns(["temperature"])[0]) == [1000, 1060, 1120, 1180]


def test_a_server_that_begins_anew_gets_its_readings_and_what_was_of_the_earlier_one_is_forgotten(room: Room) -> None:
    for request in (GenerateData(1, 1000.0, 60.0, 3), GenerateData(2, 1180.0, 60.0, 3)):
        room.cycles.ask(request)
    room.done(request)
    room.recorder.set("tested_until", "1300.0")
    room.updates()
    anew = GenerateData(1, 1000.0, 60.0, 2)  # by number and time the very cycle that was taken
    room.cycles.ask(anew)
    room.done(anew)
    assert [update.cycle for update in room.updates()] == [1]
    assert list(room.recorder.columns(["temperature"])[0]) == [1000, 1060]
    tested_until = room.recorder.get("tested_until")
    assert tested_until is not None
    assert float(tested_until) < 1000.0


def test_real_sensors_keep_what_they_measured_whatever_the_world(tmp_path: Path) -> None:
    real = Room(tmp_path, Sensors(simulated=False))
    real.recorder.append_many([(2000.0, {"temperature": 1.0})])
    real.cycles.ask(GenerateData(1, 1000.0, 60.0, 1))
    assert real.cycles.wait(60)
    assert real.recorder.columns(["temperature"])[0][0] == 2000.0
    real.close()


def test_the_same_number_at_another_time_is_another_cycle(room: Room) -> None:
    first, second = GenerateData(1, 1000.0, 60.0, 1), GenerateData(1, 5000.0, 60.0, 1)
    room.cycles.ask(first)
    room.cycles.ask(second)
    room.done(second)
    assert room.sensors.asked == [1000, 5000]


def test_a_reset_breaks_a_cycle_off_and_voids_those_that_wait(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    room.sensors.gate.clear()
    room.cycles.ask(GenerateData(1, 1000.0, 60.0, 3))
    room.cycles.ask(GenerateData(2, 2000.0, 60.0, 3))
    wait_for(lambda: room.sensors.asked, "the cycle to begin")
    room.cycles.forget(room.recorder.clear)
    room.sensors.gate.set()
    after = GenerateData(3, 1000.0, 60.0, 2)
    room.cycles.ask(after)
    room.done(after)
    assert [update.cycle for update in room.updates()] == [3]
    assert_array_equal(room.recorder.columns(["temperature"])[0], [1000, 1060])
    assert "cycle 1: broken off by a reset" in caplog.text


def test_a_cycle_that_fails_is_logged_and_the_next_one_is_taken(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    room.sensors.failures.put(RuntimeError("the bus is gone"))
    room.cycles.ask(GenerateData(1, 1000.0, 60.0, 3))
    after = GenerateData(2, 2000.0, 60.0, 1)
    room.cycles.ask(after)
    room.done(after)
    assert "cycle 1 failed" in caplog.text
    assert [update.cycle for update in room.updates()] == [2]


def test_stop_breaks_a_cycle_off_and_does_not_call_it_done(room: Room) -> None:
    room.sensors.gate.clear()
    room.cycles.ask(GenerateData(1, 1000.0, 60.0, 100))
    wait_for(lambda: room.sensors.asked, "the cycle to begin")
    room.cycles.stop(0.0)
    room.sensors.gate.set()
    room.cycles.stop(60)
    assert room.recorder.span() is None
    assert len(room.sensors.asked) == 1
