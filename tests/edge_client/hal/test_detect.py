"""Finding sensors: what proves itself goes first, and what is opened to look is closed again."""

from __future__ import annotations

from contextlib import closing
from importlib.metadata import EntryPoint
from itertools import islice
from pathlib import Path

import pytest

from bramble_client.hal import catalogue, commands, config, detect, errors
from bramble_client.hal.board import Board, Pace
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.tmp117 import TMP117
from bramble_client.hal.readings import Reading
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.scene import Scene
from tests.edge_client.hal.scripted import Scripted


class Two(TMP117):
    """One of two chips at one address that cannot prove what they are."""

    name, chip, addresses, certain = "two", "TWO-2", (0x48,), False


def test_what_proves_itself_is_found_before_what_can_only_be_guessed(
    monkeypatch: pytest.MonkeyPatch, bus: SimulatedBus, scene: Scene, clock: VirtualClock
) -> None:
    bus.attach(0x48, catalogue.chip("tmp117")(scene, clock))
    points = [EntryPoint("aaa", "tests.two:Two", catalogue.SENSORS_GROUP)]
    monkeypatch.setattr(EntryPoint, "load", lambda point: Two)
    monkeypatch.setattr(catalogue, "entry_points", lambda group, name="aaa": [p for p in points if (p.group, p.name) == (group, name)])
    (found,) = detect.scan(bus)
    assert (found.drivers, found.certain) == ((TMP117,), True)
    monkeypatch.setattr(TMP117, "identify", classmethod(lambda cls, bus, address: cls is Two))
    (found,) = detect.scan(bus)
    assert (found.drivers[0], found.certain) == (Two, False)
    assert found.note == "perhaps TWO-2 or LM75 or TMP105: it has no identity to prove it; name it in the configuration"


def test_a_found_sensor_is_written_with_its_usual_pace_and_an_uncertain_one_with_a_note(tmp_path: Path) -> None:
    found = [detect.Found(0x68, (catalogue.driver("mpu6050"),), "sure"), detect.Found(0x23, (catalogue.driver("bh1750"),), "perhaps")]
    path = tmp_path / "sensors.toml"
    path.write_text(commands.found_config(found, 3))
    sensors, _ = config.load(path)
    assert [(sensor.name, sensor.bus, sensor.every) for sensor in sensors] == [("mpu6050", 3, 0.005), ("bh1750", 3, 60.0)]
    assert path.read_text().startswith("# 0x23: perhaps\n")
    assert "sure" not in path.read_text()


def test_a_simulated_bus_that_was_scanned_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    with commands.opened("mock", 1, "pi-1") as bus:
        assert bus.scan() == [0x76]
    with pytest.raises(errors.BusClosed):
        bus.scan()


def test_whoever_stops_watching_stops_the_sampling(bus: SimulatedBus) -> None:
    board = Board([Sensor(Scripted(VirtualClock(), 20.0))], [bus], paces=[Pace(0.001)])
    samplers = []
    original = board.sampler
    board.sampler = lambda sink: (samplers.append(original(sink)), samplers[-1])[1]  # type: ignore[method-assign]
    with closing(commands.watch(board)) as rows:
        seen: list[list[Reading]] = [readings for readings, _ in islice(rows, 2)]
    assert [len(readings) for readings in seen] == [1, 1]
    assert not any(part.alive for part in samplers[0].parts)
