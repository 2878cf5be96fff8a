"""A board from its opening to its end: which sensors it has, what is gone, how each is sampled, what it lets go."""

from __future__ import annotations

from pathlib import Path

import pytest

from bramble_client.hal import Board, Quality, Reading, errors, open_board
from bramble_client.hal.board import Pace
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim import recordings
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips.bme280 import BME280
from bramble_client.hal.sim.chips.tmp117 import TMP117
from bramble_client.hal.sim.scene import Scene
from bramble_client.hal.stream import Stream
from tests.edge_client.hal.kernel import Kernel
from tests.edge_client.hal.scripted import Scripted, ScriptedQueue

T0 = 1672531200.0
WIND = errors.WrongChip("another chip")


def configured(folder: Path, text: str) -> Path:
    path = folder / "sensors.toml"
    path.write_text(text)
    return path


def test_what_does_not_answer_is_gone_by_its_name_sensors_and_streams_alike(clock: VirtualClock, bus: SimulatedBus) -> None:
    queue = ScriptedQueue(clock, [])
    queue.failing = WIND
    board = Board(
        [Sensor(Scripted(clock, 20.0), "roof"), Sensor(Scripted(clock, WIND), "cellar"), Sensor(queue, "motion")],
        [bus],
        clock=clock,
        paces=[Pace(60), Pace(60), Pace(0.01, 100.0)],
    )
    assert board.gone == []
    sampler = board.sampler(lambda readings: None)
    board.read()
    assert board.gone == ["cellar"]
    for source in (part.source for part in sampler.parts):
        source.read()
    assert board.gone == ["cellar", "motion"]


def test_only_a_queue_with_a_rate_is_emptied_as_a_stream(clock: VirtualClock, bus: SimulatedBus) -> None:
    sensors = [Sensor(Scripted(clock, 20.0), "a"), Sensor(ScriptedQueue(clock, []), "b"), Sensor(ScriptedQueue(clock, []), "c")]
    board = Board(sensors, [bus], clock=clock, paces=[Pace(7, 100.0), Pace(9), Pace(0.01, 100.0)])
    sources = [(type(part.source), part.interval) for part in board.sampler(lambda readings: None).parts]
    assert sources == [(Sensor, 7), (Sensor, 9), (Stream, 0.1)]


def test_without_paces_each_sensor_is_read_at_its_drivers_usual_interval(clock: VirtualClock, bus: SimulatedBus) -> None:
    assert Board([Sensor(Scripted(clock, 20.0))], [bus]).paces == [Pace(60.0)]


def test_a_reading_has_the_boards_name_for_its_channel(clock: VirtualClock, bus: SimulatedBus) -> None:
    board = Board([Sensor(Scripted(clock, 20.0), "roof"), Sensor(Scripted(clock, 21.0), "attic")], [bus])
    assert [board.key(reading) for reading in board.read()] == ["temperature", "attic.temperature"]
    stranger = Reading("nobody", "pressure", 1.0, "hPa", 0.0, None, 1, Quality.GOOD, False)
    assert board.key(stranger) == "pressure"


def test_channels_that_nobody_wants_are_measured_and_not_offered(clock: VirtualClock, scene: Scene, bus: SimulatedBus) -> None:
    board = open_board("mock", seed="pi-1")
    assert {reading.channel for reading in board.read(T0)} == {"temperature", "humidity", "pressure"}
    from bramble_client.hal.drivers.bme280 import BME280 as Driver

    bus.attach(0x76, BME280(scene, clock))
    narrow = Board([Sensor(Driver(bus, 0x76, clock))], [bus], wanted={"pressure"})
    assert list(narrow.sample()) == [channel.key for channel in narrow.channels] == ["pressure"]


def test_a_board_is_simulated_if_any_of_its_sensors_is(clock: VirtualClock, bus: SimulatedBus) -> None:
    real, mock = Sensor(Scripted(clock, 1.0), "a"), Sensor(Scripted(clock, 1.0), "b", simulated=True)
    assert not Board([real], [bus]).simulated
    assert Board([real, mock], [bus]).simulated


def test_closing_a_board_closes_its_buses(clock: VirtualClock) -> None:
    buses = [SimulatedBus(clock, "one"), SimulatedBus(clock, "two")]
    Board([], buses).close()
    for bus in buses:
        with pytest.raises(errors.BusClosed):
            bus.scan()


def test_settling_sets_a_simulated_world_to_now() -> None:
    prepared: list[float | None] = []
    Board([], [], prepare=prepared.append).advance()
    assert prepared == [None]


def test_a_doubtful_value_is_none_in_a_sample(clock: VirtualClock, bus: SimulatedBus) -> None:
    board = Board([Sensor(Scripted(clock, 900.0))], [bus])
    assert board.read()[0].value == 900.0
    assert board.sample() == {"temperature": None}


def test_a_scan_that_finds_nothing_lets_the_device_go(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    import smbus2.smbus2 as smbus

    closed: list[bool] = []
    monkeypatch.setattr(smbus.SMBus, "close", lambda self: closed.append(True))
    with pytest.raises(errors.SensorError, match="no sensor that a driver knows answers"):
        open_board("linux", seed="pi-1")
    assert closed == [True]


def test_a_found_board_numbers_two_of_a_kind_and_leaves_out_who_is_unknown(kernel: Kernel, scene: Scene, clock: VirtualClock) -> None:
    from bramble_client.hal.sim.chips.base import RegisterChip

    class Display(RegisterChip):
        name = "display"

    kernel.chips.update({0x3C: Display(scene, clock), 0x48: TMP117(scene, clock), 0x49: TMP117(scene, clock)})
    board = open_board("linux", seed="pi-1", bus=4)
    assert [(sensor.name, sensor.driver.address) for sensor in board.sensors] == [("tmp117", 0x48), ("tmp117_2", 0x49)]
    assert [bus.name for bus in board.buses] == ["/dev/i2c-4"]
    assert [reading.simulated for reading in board.read()] == [False, False]
    board.close()


def test_sensors_on_two_buses_share_no_bus(tmp_path: Path, kernel: Kernel) -> None:
    text = "".join(f'[[sensor]]\ndriver = "bme280"\nbus = {bus}\nname = "b{bus}"\n' for bus in (1, 2))
    for kind in ("linux", "mock"):
        board = open_board(kind, seed="pi-1", configuration=configured(tmp_path, text))
        assert board.simulated is (kind == "mock")
        assert len({id(bus) for bus in board.buses}) == 2
        assert [sensor.driver.bus for sensor in board.sensors] == board.buses
        board.close()


def test_between_two_samples_as_much_time_passes_for_the_drivers_as_in_the_world() -> None:
    board = open_board("mock", seed="pi-1")
    clock = board.sensors[0].driver.clock
    board.sample(T0)
    for t, passed in ((T0 + 3600, 3600), (T0 + 3660, 60), (T0, 0), (T0 + 60, 60)):
        before = clock.monotonic()
        board.sample(t)
        assert passed <= clock.monotonic() - before < passed + 1, "going back in the world takes no time"


def test_without_a_time_a_simulated_world_shows_the_wall_clocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ramp.csv"
    path.write_text(f"time,temperature\n{T0:.0f},0\n{T0 + 1000:.0f},50\n")
    for utc, shown in ((T0 + 500.0, 25.0), (T0 + 800.0, 40.0)):
        monkeypatch.setattr("bramble_client.hal.clock.SystemClock.time", lambda _, now=utc: now)
        monkeypatch.setattr("bramble_client.hal.clock.clock_synchronised", lambda: True)
        assert open_board("mock", seed="pi-1", replay=path).sample()["temperature"] == pytest.approx(shown, abs=0.05)


def test_a_live_world_begins_now_and_goes_where_a_sample_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ramp.csv"
    path.write_text(f"time,temperature\n{T0:.0f},0\n{T0 + 100_000:.0f},50\n")
    monkeypatch.setattr("bramble_client.hal.clock.SystemClock.time", lambda _: T0 + 50_000)
    board = open_board("mock", seed="pi-1", replay=path, live=True)
    assert board.sample()["temperature"] == pytest.approx(25.0, abs=0.2)
    assert board.read(T0 + 90_000)[0].value == pytest.approx(45.0, abs=0.2)
    assert board.read()[0].value == pytest.approx(45.0, abs=0.2), "it goes on from there"


def test_as_few_sensors_as_possible_cover_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("time,carbon_dioxide,temperature,humidity\n1700000000,500,20,50\n1700000060,510,21,51\n")
    assert [sensor.name for sensor in open_board("mock", seed="pi-1", replay=path).sensors] == ["scd4x"]


def test_without_a_bus_it_is_the_pis_first(kernel: Kernel, scene: Scene, clock: VirtualClock) -> None:
    kernel.chips[0x48] = TMP117(scene, clock)
    board = open_board("linux", seed="pi-1")
    assert [bus.name for bus in board.buses] == ["/dev/i2c-1"]
    board.close()


@pytest.mark.slow
def test_every_client_has_a_recording_and_all_recordings_have_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[Path] = []
    short = recordings.Recording([T0], {"temperature": [20.0]})
    monkeypatch.setattr(recordings, "load", lambda path: (chosen.append(path), short)[1])
    for i in range(40):
        open_board("mock", seed=f"pi-{i}")
    assert set(chosen) == set(recordings.builtin().values())
    first = [path.name.removesuffix(".csv.gz") for path in chosen[:6]]
    assert first == ["chicago", "greensboro", "chicago", "miami", "greensboro", "golden"], "the same in every version"
