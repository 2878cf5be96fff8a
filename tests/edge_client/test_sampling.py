"""When sensors are read. The sensors are real drivers on a simulated bus, or ones whose pace the test sets."""

from __future__ import annotations

import logging
import queue
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bramble_client.acquire import sampling
from bramble_client.acquire.recorder import Recorder
from bramble_client.acquire.sampling import Cycles, SelfPaced
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
        assert self.cycles.settle(60), f"waited in vain for cycle {request.cycle}"

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
    assert cycles.settle(60)
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
    assert room.cycles.settle(60)
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
    assert real.cycles.settle(60)
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


class Paced:
    """A self-paced client's sensors: drivers on a live simulated bus, as a file lists them."""

    def __init__(self, folder: Path, sensors: str, faults: str = "", mirrored: bool = False) -> None:
        (folder / "sensors.toml").write_text(sensors)
        (folder / "faults.toml").write_text(faults)
        self.board = open_board(
            "mock", seed="pi-1", configuration=folder / "sensors.toml", faults=folder / "faults.toml" if faults else None, live=True
        )
        self.recorder = Recorder(folder / "readings.db", 100_000)
        self.outbox = Outbox(folder / "outbox.db")
        self.sampling = SelfPaced(self.board, self.recorder, self.outbox if mirrored else None)

    def count(self, channel: str) -> int:
        """How many values of a channel are kept."""
        return int(np.isfinite(self.recorder.columns([channel])[1]).sum())

    def updates(self) -> list[DataUpdate]:
        found = []
        while (item := self.outbox.next()) is not None:
            found.append(DataUpdate.from_wire(item.payload))
            self.outbox.remove(item)
        return found

    def __enter__(self) -> Paced:
        self.sampling.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.sampling.stop(60)
        for part in (self.board, self.recorder, self.outbox):
            part.close()


BME280 = '[[sensor]]\ndriver = "bme280"\nname = "roof"\nevery = 0.05\n'
SHT3X = '[[sensor]]\ndriver = "sht3x"\nname = "wall"\nevery = 0.1\n'


def test_each_sensor_is_read_at_its_own_pace_and_kept_with_the_time_of_its_conversion(tmp_path: Path) -> None:
    began = time.monotonic()
    with Paced(tmp_path, BME280 + SHT3X) as paced:
        wait_for(lambda: paced.count("temperature") > 10 and paced.count("wall.temperature") > 3, "readings of both")
        assert paced.sampling.every == 0.05
        assert paced.sampling.stuck(60) is None
        assert began < (paced.sampling.sampled or 0.0) <= time.monotonic()
    stats = paced.sampling._sampler.stats
    assert paced.sampling.missed == stats["roof"].missed + stats["wall"].missed
    assert stats["roof"].taken + stats["roof"].missed > stats["wall"].taken + stats["wall"].missed


def test_nothing_is_mirrored_by_whoever_has_no_outbox(tmp_path: Path) -> None:
    with Paced(tmp_path, BME280) as paced:
        wait_for(lambda: paced.count("temperature") > 3, "readings")
    again = Outbox(tmp_path / "outbox.db")
    assert again.next() is None
    again.close()


def test_each_sensor_is_mirrored_by_itself_since_the_other_did_not_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MIRROR_S", 0.2)
    with Paced(tmp_path, BME280 + SHT3X, mirrored=True) as paced:
        updates: list[DataUpdate] = []

        def came() -> bool:
            updates.extend(paced.updates())
            return {len(update.channels) for update in updates} == {2, 3}

        wait_for(came, "readings of both")
        assert {update.cycle for update in updates} == {None}
        assert {frozenset(update.channels) for update in updates} == {
            frozenset({"temperature", "humidity", "pressure"}),
            frozenset({"wall.temperature", "wall.humidity"}),
        }
        assert all(None not in column.value for update in updates for column in update.channels.values())


def test_what_was_not_mirrored_yet_waits_in_the_outbox_when_it_stops(tmp_path: Path) -> None:
    with Paced(tmp_path, BME280, mirrored=True) as paced:
        wait_for(lambda: paced.count("temperature") > 3, "readings")
        assert paced.outbox.next() is None
        paced.sampling.stop(60)
        assert sum(len(update.t) for update in paced.updates()) > 3


def test_a_doubtful_reading_is_kept_without_its_value_and_makes_no_sample_fresh(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Paced(tmp_path, BME280, '[[fault]]\nkind = "frozen"\nat = 0.5\nseconds = 1000\n') as paced:
        wait_for(lambda: caplog.text.count("frozen and is not used") == 3, "the doubts")
        last = paced.sampling.sampled
        kept = paced.count("temperature")
        wait_for(lambda: paced.recorder.columns(["temperature"])[0].size > kept + 5, "further readings")
        assert paced.count("temperature") == kept
        assert paced.sampling.sampled == last


def test_a_sensor_that_is_gone_and_comes_back_is_said_once_each(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Paced(tmp_path, BME280, '[[fault]]\nkind = "unplug"\nat = 0.2\nseconds = 0.5\n') as paced:
        wait_for(lambda: paced.board.gone == ["roof"], "it to go")
        wait_for(lambda: "sensor roof is back" in caplog.text, "it to come back")
        assert paced.board.gone == []
        before = paced.count("temperature")
        wait_for(lambda: paced.count("temperature") > before, "readings again")
    assert [text.split(":")[0] for text in caplog.messages if "roof is" in text] == ["sensor roof is gone", "sensor roof is back"]


def test_a_reset_forgets_what_is_not_dated_or_mirrored_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Paced(tmp_path, BME280, mirrored=True) as paced:
        wait_for(lambda: paced.count("temperature") > 3, "readings")
        cleared: list[float] = []

        def clear() -> None:
            paced.recorder.clear()
            cleared.append(time.time())

        paced.sampling.forget(clear)
        wait_for(lambda: paced.count("temperature") > 0, "readings after it")
        paced.sampling.stop(60)
        # one that was being measured meanwhile is not older than its conversion takes
        assert min(t for update in paced.updates() for t in update.t) > cleared[0] - 0.05
        assert min(paced.recorder.columns(["temperature"])[0]) > cleared[0] - 0.05


def test_how_it_went_is_said_when_it_ends_and_so_is_what_was_never_dated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("bramble_client.hal.clock.HostClock.utc", lambda clock: None)
    with Paced(tmp_path, BME280) as paced:
        wait_for(lambda: paced.sampling._sampler.stats["roof"].taken > 3, "samples")
        assert paced.sampling.sampled is not None, "it was measured, only when is not known"
    assert re.search(r"sensor roof: \d+ samples, \d+ deadlines missed, at most [\d.e-]+ s late", caplog.text)
    assert re.search(r"\d+ readings are lost: this machine's clock was never synchronised", caplog.text)
