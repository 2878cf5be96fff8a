"""Sensors that are read at their own pace: what is kept, what is mirrored, and what is said."""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path

import numpy as np
import pytest

from bramble_client.acquire import self_paced
from bramble_client.acquire.recorder import Recorder
from bramble_client.acquire.self_paced import SelfPaced
from bramble_client.deliver.outbox import Outbox
from bramble_client.hal import open_board
from bramble_protocol.messages import DataUpdate
from tests.waiting import wait_for


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
    monkeypatch.setattr(self_paced, "MIRROR_S", 0.2)
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
        wait_for(lambda: "sensor roof is gone" in caplog.text, "it to go")
        wait_for(lambda: "sensor roof is back" in caplog.text, "it to come back")
        assert paced.board.gone == []
        before = paced.count("temperature")
        wait_for(lambda: paced.count("temperature") > before, "readings again")
    assert [text.split(":")[0] for text in caplog.messages if "roof is" in text] == ["sensor roof is gone", "sensor roof is back"]


def test_a_reset_forgets_what_is_not_dated_or_mirrored_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Paced(tmp_path, BME280, mirrored=True) as paced:
        wait_for(lambda: paced.count("temperature") > 3, "readings")
        before: set[float] = set()

        def clear() -> None:
            before.update(paced.recorder.columns(["temperature"])[0])
            paced.recorder.clear()

        paced.sampling.forget(clear)
        wait_for(lambda: paced.count("temperature") > 0, "readings after it")
        paced.sampling.stop(60)
        assert len(before) > 3
        assert not before & {t for update in paced.updates() for t in update.t}
        assert not before & set(paced.recorder.columns(["temperature"])[0])


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
