"""Channels that other packages bring, and drivers of theirs that are wrong: a sentence each, and nobody else's trouble."""

from __future__ import annotations

import math
import re
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from bramble_client.hal import catalogue, channels, declared, errors, open_board
from bramble_client.hal.board import Board
from bramble_client.hal.channels import Quantity
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.contract import DriverContract
from bramble_client.hal.drivers.base import Driver, Measurement
from bramble_client.hal.drivers.mpu6050 import MPU6050
from bramble_client.hal.drivers.tmp117 import TMP117
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.stream import Stream
from tests.edge_client import plugin
from tests.edge_client.hal.scripted import Scripted, ScriptedQueue

RADON = Quantity("radon", "Bq/m³", None, 0, 10_000)


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that nobody has added to yet."""
    monkeypatch.setattr(channels, "_added", {})
    monkeypatch.setattr(channels, "_asked", set())


def offer(monkeypatch: pytest.MonkeyPatch, *offered: Any) -> None:
    points = [EntryPoint(f"p{i}", f"package_{i}:ROWS", channels.GROUP) for i in range(len(offered))]

    def load(point: EntryPoint) -> Any:
        found = offered[points.index(point)]
        if isinstance(found, BaseException):
            raise found
        return found

    monkeypatch.setattr(EntryPoint, "load", load)
    monkeypatch.setattr(channels, "entry_points", lambda group: points if group == channels.GROUP else [])


def test_a_package_adds_a_channel_or_several(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, RADON, [Quantity("ozone", "ppb", "ozone", 0, 500), Quantity("sound", "dB", "sound_pressure", 0, 140)])
    assert channels.quantity("cellar.radon") is RADON
    assert [channels.describe(key).unit for key in ("radon", "ozone", "sound")] == ["Bq/m³", "ppb", "dB"]
    with pytest.raises(KeyError, match=r"it has temperature, .*, radon, ozone, sound"):
        channels.quantity("gravity")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (Quantity("temperature", "K", None, 0, 400), r"channel 'temperature' of package_0:ROWS: Bramble has a channel of this name, in °C"),
        (Quantity("t", "s", None, 0, 1), "this name means something else in Bramble, and no channel may have it"),
        (Quantity("forecast", "", None, 0, 1), "this name means something else in Bramble"),
        (Quantity("Radon", "", None, 0, 1), "a channel is called with up to 31 of a-z, 0-9 and _"),
        (Quantity("a.b", "", None, 0, 1), "a channel is called with"),
        (Quantity("r" * 32, "", None, 0, 1), "a channel is called with"),
        (Quantity(5, "", None, 0, 1), "a channel is called with"),  # type: ignore[arg-type]
        (Quantity("radon", "becquerel per cubic metre", None, 0, 1), "is no text of at most 20 characters"),
        (Quantity("radon", "\x1b[2J", None, 0, 1), "is no text of at most 20"),
        (Quantity("radon", "", 5, 0, 1), "its device class 5 is no text"),  # type: ignore[arg-type]
        (Quantity("radon", "", None, 1, 1), "its range from 1 to 1, or a step of it, is none"),
        (Quantity("radon", "", None, 0, math.inf), "its range from 0 to inf"),
        (Quantity("radon", "", None, math.nan, 1), "its range from nan to 1"),
        (Quantity("radon", "", None, "0", 1), "its range from '0' to 1"),  # type: ignore[arg-type]
        ("radon", "offers 'r' as a channel, which is no Quantity"),
        (
            ImportError("no libradon"),
            r"channels of package_0:ROWS cannot be had \(ImportError: no libradon\); repair or remove that package",
        ),
        (SystemExit(3), r"channels of package_0:ROWS cannot be had \(SystemExit: 3\)"),
        (7, "cannot be had"),
    ],
)
def test_a_row_that_cannot_be_had_is_one_line_and_the_next_package_is_heard(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, row: Any, complaint: str
) -> None:
    offer(monkeypatch, row, Quantity("ozone", "ppb", "ozone", 0, 500))
    assert channels.quantity("ozone").unit == "ppb"
    assert channels.quantity("temperature").unit == "°C"
    with pytest.raises(KeyError):
        channels.quantity("radon")
    assert len(caplog.records) == 1, "asked again, it is not said again"
    assert re.search(complaint, caplog.records[0].getMessage())
    assert "\n" not in caplog.records[0].getMessage()


def test_two_packages_may_share_a_channel_and_not_quarrel_over_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    offer(monkeypatch, RADON, Quantity("radon", "Bq/m³", None, 0, 10_000), Quantity("radon", "pCi/L", None, 0, 100))
    assert channels.quantity("radon").unit == "Bq/m³"
    (record,) = caplog.records
    assert record.getMessage().startswith("channel 'radon' of package_2:ROWS: package_0:ROWS has brought another channel of this name")


class Geiger(TMP117):
    name, channels, quantities = "geiger", ("radon",), (RADON,)


class Undeclared(TMP117):
    name, channels = "undeclared", ("gravity",)


class Closed(TMP117):
    name, quantities = "closed", (Quantity("temperature", "K", None, 0, 400),)


class Nowhere(TMP117):
    addresses = ()


class Outside(TMP117):
    addresses = (0x90,)


class Text(TMP117):
    channels = "temperature"  # type: ignore[assignment]


class Twice(TMP117):
    channels = ("temperature", "temperature")


class Backwards(TMP117):
    interval = -1.0


class Never(TMP117):
    frozen_after = 0


class Unfinished(Driver):
    name, chip, addresses, channels = "unfinished", "X", (0x48,), ("temperature",)


class Rateless(MPU6050):
    rates = ()


class Jumble(TMP117):
    quantities = 5  # type: ignore[assignment]


class Optional(TMP117):
    options = ("pin",)  # type: ignore[assignment]


class Boundless(TMP117):
    ranges = (0, 1)  # type: ignore[assignment]


class Silent(TMP117):
    channels = ()


class Chipless(TMP117):
    chip = None  # type: ignore[assignment]


WRONG = [
    (Undeclared, "its driver measures 'gravity', which no channel table has; declare it in 'quantities', or under bramble.channels"),
    (Closed, "channel 'temperature' of sensor 'x': Bramble has a channel of this name, in °C; ask its author to use that"),
    (Nowhere, "its driver does not say at which addresses it can sit"),
    (Outside, "its driver does not say at which addresses it can sit"),
    (Text, "its driver does not say which channels it has"),
    (Twice, "its driver does not say which channels it has"),
    (Backwards, "'interval' and 'fastest' are no seconds"),
    (Never, "'frozen_after' is no number of measurements"),
    (Unfinished, "its driver does not define identify, read, setup"),
    (Rateless, "its driver does not say which rates it keeps"),
    (Optional, "'options' are no tuple of Option"),
    (Boundless, "'ranges' are no range by channel"),
    (Silent, "its driver does not say which channels it has"),
    (Jumble, "its 'quantities' are no tuple"),
    (Chipless, "its driver does not say what the chip is called"),
    (Quantity, "which is not a Driver"),
]


@pytest.mark.parametrize(("offered", "complaint"), WRONG, ids=[item[0].__name__ for item in WRONG])
def test_a_driver_that_is_declared_wrongly_is_refused_in_one_sentence_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offered: Any, complaint: str
) -> None:
    monkeypatch.setattr(EntryPoint, "load", lambda point: offered)
    points = [EntryPoint("x", "package:X", catalogue.SENSORS_GROUP)]
    monkeypatch.setattr(catalogue, "entry_points", lambda group, name="x": [p for p in points if (p.group, p.name) == (group, name)])
    with pytest.raises(errors.UnknownSensor) as caught:
        catalogue.driver("x")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    path = tmp_path / "sensors.toml"
    path.write_text('[[sensor]]\ndriver = "x"\n[[sensor]]\ndriver = "bme280"\n')
    board = open_board("mock", seed="pi-1", configuration=path)
    assert [sensor.name for sensor in board.sensors] == ["bme280"]
    assert [type(kind) for kind in catalogue.drivers()].count(errors.UnknownSensor) == 1


def test_a_driver_brings_its_own_channel() -> None:
    assert declared.check("geiger", Geiger) is Geiger
    assert declared.check("geiger", Geiger) is Geiger, "again is no quarrel"
    assert channels.quantity("radon") is RADON


class Careless(TMP117):
    def __init__(self, *arguments: Any) -> None:
        raise SystemExit("no licence")


class Forgetful(TMP117):
    def __init__(self, bus: Any, address: int, clock: Any) -> None:
        self.bus = bus


@pytest.mark.parametrize("kind", [Careless, Forgetful])
def test_a_driver_that_cannot_be_made_costs_only_its_own_sensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: Any
) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text('[[sensor]]\ndriver = "tmp117"\n[[sensor]]\ndriver = "bme280"\n')
    driver = catalogue.driver
    monkeypatch.setattr(catalogue, "driver", lambda name: kind if name == "tmp117" else driver(name))
    board = open_board("mock", seed="pi-1", configuration=path)
    assert [sensor.name for sensor in board.sensors] == ["bme280"]
    assert "the driver of TMP117 is wrong (" in str(board.problems[0])
    assert caplog.text.count("sensor tmp117 cannot be used: ") == 1


def test_a_simulated_chip_that_cannot_be_made_costs_only_its_own_sensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text('[[sensor]]\ndriver = "tmp117"\n[[sensor]]\ndriver = "bme280"\n')
    chip = catalogue.chip
    monkeypatch.setattr(catalogue, "chip", lambda name: (lambda *_: 1 / 0) if name == "tmp117" else chip(name))
    board = open_board("mock", seed="pi-1", configuration=path)
    assert [sensor.name for sensor in board.sensors] == ["bme280"]


class Sloppy(Scripted):
    """A driver that returns what it should not."""

    returned: Any = None

    def read(self) -> Measurement:
        if isinstance(self.returned, BaseException):
            raise self.returned
        return self.returned  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "returned",
    [
        None,
        {"temperature": 20.0},
        Measurement(0.0, {}),
        Measurement(0.0, {"temperature": 20.0, "humidity": 40.0}),
        Measurement(0.0, {"temperature": None}),  # type: ignore[dict-item]
        Measurement(0.0, {"temperature": "20"}),  # type: ignore[dict-item]
        Measurement(math.nan, {"temperature": 20.0}),
        Measurement(None, {"temperature": 20.0}),  # type: ignore[arg-type]
        Measurement(0.0, 20.0),  # type: ignore[arg-type]
        SystemExit(1),
        KeyError("x"),
    ],
)
def test_a_driver_that_returns_nonsense_is_gone_and_the_others_are_read(
    bus: SimulatedBus, clock: VirtualClock, caplog: pytest.LogCaptureFixture, returned: Any
) -> None:
    sloppy = Sloppy(clock, 20.0)
    sloppy.returned = returned
    board = Board([Sensor(sloppy, "sloppy"), Sensor(Scripted(clock, 21.0), "good")], [bus])
    for _ in range(3):
        assert board.sample() == {"temperature": None, "good.temperature": 21.0}
    assert caplog.text.count("sensor sloppy is gone: the driver of scripted at 0x40 is wrong") == 1


def test_a_queue_that_returns_nonsense_is_gone(clock: VirtualClock) -> None:
    driver = ScriptedQueue(clock, [1])
    stream = Stream(driver, 100.0)
    stream.read()
    driver.drain = lambda: [Measurement(0.0, {"acceleration_y": 1.0})]  # type: ignore[method-assign]
    assert stream.read() == []
    assert "the driver of queue at 0x40 is wrong: it returned Measurement(" in str(stream.error)


def test_a_package_with_a_channel_of_its_own_is_found_listed_and_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(plugin.install(tmp_path / "packages"))
    path = tmp_path / "sensors.toml"
    path.write_text('[[sensor]]\ndriver = "radon1"\noffset = { radon = -1 }\n')
    board = open_board("mock", seed="pi-1", configuration=path)
    assert [(channel.key, channel.unit) for channel in board.channels] == [("radon", "Bq/m³")]
    value = board.sample(1672531200.0)["radon"]
    assert value is not None
    assert 2000 < value < 8000


def test_the_driver_contract_knows_a_channel_that_its_driver_brings() -> None:
    names: dict[str, Any] = {"__name__": "radon_plugin"}
    exec(compile(plugin.MODULE, "radon_plugin", "exec"), names)
    contract = type("TestRadon", (DriverContract,), {"driver": names["Radon"], "chip": names["Chip"], "tolerance": {"radon": 1.5}})()
    contract.test_its_channels_are_in_the_table()
    contract.test_it_reads_what_the_world_has()
    contract.driver.quantities = ()
    channels._added.clear()
    with pytest.raises(errors.UnknownSensor, match="measures 'radon', which no channel table has"):
        contract.test_its_channels_are_in_the_table()


def test_a_recording_of_a_plug_ins_channel_is_replayed_through_its_chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cellar.csv"
    path.write_text("time,temperature,radon (Bq/m³)\n1672531200,20,150\n1672534800,21,150\n")
    groups = {"channels": "radon = radon_plugin:RADON", "sensors": "radon1 = radon_plugin:Radon"}
    monkeypatch.syspath_prepend(plugin.install(tmp_path / "packages", **groups, chips="radon1 = radon_plugin:Chip"))
    board = open_board("mock", seed="pi-1", replay=path)
    assert board.sample(1672531200.0) == {"temperature": pytest.approx(20, abs=0.1), "radon": pytest.approx(150, abs=1)}
