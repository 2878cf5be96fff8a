from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bramble_client.hal import Quality, catalogue, errors, open_board
from bramble_client.hal.board import Board
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.bme280 import BME280
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim import recordings
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips.bme280 import BME280 as Chip
from bramble_client.hal.sim.scene import Scene
from bramble_protocol.messages import Channel, Handshake
from tests.edge_client.hal.kernel import Kernel

T0 = 1672531200.0
WEATHER = (Channel("temperature", "°C"), Channel("humidity", "%"), Channel("pressure", "hPa"))


@pytest.fixture
def station(tmp_path: Path) -> Path:
    path = tmp_path / "station.csv"
    rows = [f"{T0 + 3600 * i:.0f},{10 + i},{50 + i},{1000 + i}" for i in range(10)]
    path.write_text("time,temperature,humidity,pressure\n" + "\n".join(rows) + "\n")
    return path


def test_a_mock_board_replays_a_recording_through_driver_and_chip(station: Path) -> None:
    board = open_board("mock", replay=station, seed="pi-1")
    assert board.simulated
    assert board.channels == WEATHER
    for i in (0, 3, 9, 3):
        values = board.sample(T0 + 3600 * i)
        assert values["temperature"] == pytest.approx(10 + i, abs=0.05)
        assert values["humidity"] == pytest.approx(50 + i, abs=0.2)
        assert values["pressure"] == pytest.approx(1000 + i, abs=0.2)
    board.close()
    board.close()


def test_a_recording_decides_which_channels_and_chips_there_are(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("time,pressure\n1700000000,1000\n1700000060,1001\n")
    board = open_board("mock", replay=path, seed="pi-1")
    assert board.channels == (Channel("pressure", "hPa"),)
    assert set(board.sample(0.0)) == {"pressure"}


def test_the_channels_make_a_good_handshake(station: Path) -> None:
    board = open_board("mock", replay=station, seed="pi-1")
    shake = Handshake(1, "pi-1", channels=board.channels)
    assert Handshake.from_wire(shake.to_wire()) == shake


@pytest.mark.slow
def test_without_a_recording_the_client_id_chooses_one_for_good() -> None:
    boards = [open_board("mock", seed=f"pi-{i}") for i in range(12)]
    values = [board.sample(T0)["temperature"] for board in boards]
    assert len(set(values)) > 9, "clients that share a recording are not copies"
    assert values == [open_board("mock", seed=f"pi-{i}").sample(T0)["temperature"] for i in range(12)]


def test_without_built_in_recordings_there_is_a_synthetic_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "builtin", dict)
    board = open_board("mock", seed="pi-1")
    assert board.channels == WEATHER
    assert None not in board.sample(T0).values()


def test_without_a_time_the_world_is_at_now(station: Path) -> None:
    assert None not in open_board("mock", replay=station, seed="pi-1").sample().values()


def test_a_sensor_that_goes_is_logged_once_and_once_when_it_is_back(station: Path, caplog: pytest.LogCaptureFixture) -> None:
    board = open_board("mock", replay=station, seed="pi-1")
    bus = board.buses[0]
    assert isinstance(bus, SimulatedBus)
    board.sample(T0)
    chip = bus.detach(0x76)
    with caplog.at_level(logging.INFO):
        for i in range(1, 5):
            assert board.sample(T0 + 3600 * i) == {"temperature": None, "humidity": None, "pressure": None}
        assert len(caplog.records) == 1
        assert "sensor bme280 is gone: simulated bus 1: nothing answers at 0x76" in caplog.text
        chip.power_on()
        bus.attach(0x76, chip)
        assert board.sample(T0 + 3600 * 5)["temperature"] == pytest.approx(15, abs=0.05)
    assert [record.message for record in caplog.records][1:] == ["sensor bme280 is back"]


def test_two_sensors_with_one_quantity_have_two_channels(clock: VirtualClock, scene: Scene, bus: SimulatedBus) -> None:
    for address in (0x76, 0x77):
        bus.attach(address, Chip(scene, clock, address))
    board = Board([Sensor(BME280(bus, 0x76, clock), "room"), Sensor(BME280(bus, 0x77, clock), "attic")], [bus])
    keys = [channel.key for channel in board.channels]
    assert keys == ["temperature", "humidity", "pressure", "attic.temperature", "attic.humidity", "attic.pressure"]
    assert board.channels[3].unit == "°C"
    assert set(board.sample()) == set(keys)
    assert [reading.sensor for reading in board.read()] == ["room"] * 3 + ["attic"] * 3
    assert not board.simulated


def test_a_linux_board_finds_its_sensors_by_identity(kernel: Kernel, scene: Scene, clock: VirtualClock) -> None:
    kernel.chips[0x77] = Chip(scene, clock)
    board = open_board("linux", seed="pi-1")
    assert not board.simulated
    assert board.channels == WEATHER
    assert [str(sensor.driver) for sensor in board.sensors] == ["BME280 at 0x77"]
    readings = board.read()
    assert [reading.quality for reading in readings] == [Quality.GOOD] * 3
    assert readings[0].value == pytest.approx(21.37, abs=0.05)
    board.close()


def test_a_linux_board_without_sensors_says_what_to_do(kernel: Kernel) -> None:
    with pytest.raises(errors.SensorError, match=r"no sensor that a driver knows answers on /dev/i2c-3; check the wiring"):
        open_board("linux", seed="pi-1", bus=3)


def test_a_linux_board_never_falls_back_to_simulation(kernel: Kernel) -> None:
    kernel.open_error = 13
    with pytest.raises(errors.PermissionDenied, match="add the user to the group i2c"):
        open_board("linux", seed="pi-1")


def test_no_two_channels_share_a_name_whatever_the_sensors_are_called(clock: VirtualClock, scene: Scene, bus: SimulatedBus) -> None:
    """A second voltage of a sensor that is called ``a0`` is not the voltage of an ADS1115's input."""
    kinds = {"supply": "ina219", "inputs": "ads1115", "a0": "ina219"}
    sensors = [Sensor(catalogue.driver(kind)(bus, None, clock), name) for name, kind in kinds.items()]
    keys = [channel.key for channel in Board(sensors, [bus]).channels]
    assert len(keys) == len(set(keys)) == 10
    assert {"voltage", "a0.voltage", "a0.a0.voltage", "a0.current"} <= set(keys)
