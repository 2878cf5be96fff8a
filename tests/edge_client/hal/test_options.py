"""Options of one chip in [[sensor]]: checked by name, handed to the driver, told to the simulated board, listed for people."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from bramble_client.hal import catalogue, config, open_board
from bramble_client.hal.config import SensorConfig
from bramble_client.hal.contract import DriverContract
from bramble_client.hal.errors import ConfigError, SettingsLost, UnknownSensor
from tests.edge_client.hal.bench import WORLD, Bench
from tests.edge_client.hal.drivers.test_contract import TOLERANCE, truth_of_dividers
from tests.edge_client.sensors_command import run

SHAKEN = {"acceleration_x": 60.0, "rotation_y": 900.0}
RECORDING = "time,{columns}\n2023-01-01T00:00:00Z,{values}\n2023-01-01T01:00:00Z,{values}\n"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "sensors.toml"
    path.write_text("[[sensor]]\n" + "\n".join(lines) + "\n")
    return path


def read(folder: Path, lines: list[str], **world: float) -> dict[str, float | None]:
    """Return what a whole mock client would take as good, in a world that stands still."""
    replay = folder / "world.csv"
    replay.write_text(RECORDING.format(columns=",".join(world), values=",".join(map(str, world.values()))))
    return open_board("mock", seed="options", replay=replay, configuration=written(folder, *lines)).sample(1672531200.0)


@pytest.mark.parametrize(
    ("lines", "world", "expected"),
    [
        (['driver = "ina219"', "shunt_ohms = 0.01"], {"voltage": 12.0, "current": 20.0, "power": 240.0}, {"current": 20.0, "power": 240.0}),
        (['driver = "ina226"', "shunt_ohms = 0.002"], {"voltage": 12.0, "current": 30.0}, {"current": 30.0, "power": 360.0}),
        (['driver = "ads1115"', "range = 6.144"], {"voltage": 20.0}, {"a0.voltage": 5.0, "a3.voltage": 1.0}),
        (['driver = "ads1115"', "range = 0.256"], {"voltage": 2.0}, {"a0.voltage": None, "a3.voltage": 0.1}),
        (['driver = "bh1750"', "range = 120000"], {"illuminance": 100_000.0}, {"illuminance": 100_000.0}),
        (['driver = "mpu6050"', "range = 16", "every = 1"], SHAKEN, {**SHAKEN, "rotation_y": None}),
        (['driver = "mpu6050"', "rotation_range = 2000", "every = 1"], SHAKEN, {**SHAKEN, "acceleration_x": None}),
    ],
)  # fmt: skip
def test_an_option_changes_what_the_chip_can_see(
    tmp_path: Path, lines: list[str], world: dict[str, float], expected: dict[str, float | None]
) -> None:
    values = read(tmp_path, lines, **world)
    for key, value in expected.items():
        assert values[key] == (None if value is None else pytest.approx(value, rel=0.01))


@pytest.mark.parametrize("name", catalogue.BUILTIN)
def test_the_default_of_an_option_is_what_the_driver_does_without_it(name: str) -> None:
    if name == "bme680":
        pytest.importorskip(name)
    kind = catalogue.driver(name)
    options = {option.name: option.default for option in kind.options if option.default is not None}
    one, two = Bench(name, **WORLD), Bench(name, None, options, **WORLD)
    assert {key: value for key, value in vars(one.driver).items() if key.lstrip("_") not in ("chip", "transport", "bus", "clock")} == {
        key: value for key, value in vars(two.driver).items() if key.lstrip("_") not in ("chip", "transport", "bus", "clock")
    }


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['driver = "ina219"', "shunt_ohms = 0"], r"line 3, key 'shunt_ohms': expected 1e-05 to 100 \(resistance of the shunt.*\), not 0"),
        (['driver = "ina219"', 'shunt_ohms = "0.1"'], r"key 'shunt_ohms': expected"),
        (['driver = "ina219"', "shunt_ohms = true"], r"key 'shunt_ohms': expected .* not true"),
        (['driver = "ads1115"', "range = 5.0"], r"key 'range': expected 6.144, 4.096, .*, not 5"),
        (['driver = "mpu6050"', "range = 4.0"], r"key 'range': expected 2, 4, 8, 16 .*, not 4"),
        (['driver = "bme280"', "range = 4"], r"key 'range': is not known here"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_line_key_and_what_it_takes(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_board("mock", seed="options", configuration=written(tmp_path, *lines))


def test_options_are_written_as_they_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, 'driver = "ina219"', "shunt_ohms = 0.05")
    (sensor,), _ = config.load(path)
    assert sensor.options == {"shunt_ohms": 0.05}
    path.write_text(config.dumps([sensor]))
    assert config.load(path)[0] == [sensor]
    odd = SensorConfig(sensor.driver, 0x40, options={"a": 'x"\\y', "b": {"k": "v"}, "c": True})
    assert 'a = "x\\"\\\\y"' in config.dumps([odd])
    assert 'b = { "k" = "v" }' in config.dumps([odd])
    assert "c = true" in config.dumps([odd])


def test_the_list_says_every_option_with_its_default_and_what_it_takes() -> None:
    out = run("list", "--options")
    for name in catalogue.names():
        try:
            kind = catalogue.driver(name)
        except UnknownSensor:
            continue
        for option in kind.options:
            line = next(line for line in out.splitlines() if line.split()[:2] == [name, option.name])
            assert option.usual in line
            assert option.about in line


def test_an_scd4x_is_told_where_it_is_and_keeps_what_it_is_not_told() -> None:
    bench = Bench("scd4x", None, {"altitude": 1600, "self_calibration": False}, **WORLD)
    bench.driver.setup()
    assert (bench.chip.settings[0x2322], bench.chip.settings[0x2313]) == (1600, 0)
    assert bench.read()["carbon_dioxide"] == 500.0
    plain = Bench("scd4x", **WORLD)
    plain.driver.setup()
    assert (plain.chip.settings[0x2322], plain.chip.settings[0x2313]) == (0, 1)


def test_an_scd4x_that_does_not_keep_its_altitude_is_noticed() -> None:
    bench = Bench("scd4x", None, {"altitude": 1600}, **WORLD)
    bench.chip.settings = MappingProxyType({0x2318: 0, 0x2322: 7, 0x2313: 1})
    bench.chip.power_on = lambda: None
    original = bench.chip.command
    bench.chip.command = lambda code, parameters: None if code == 0x2427 else original(code, parameters)
    with pytest.raises(SettingsLost, match="does not keep its settings"):
        bench.driver.setup()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ads1115", {"range": 6.144}),
        ("bh1750", {"range": 120_000}),
        ("ina219", {"shunt_ohms": 0.01}),
        ("ina226", {"shunt_ohms": 0.01}),
        ("mpu6050", {"range": 16, "rotation_range": 2000}),
        ("mpu6050", {"range": 2, "rotation_range": 250}),
        ("scd4x", {"altitude": 3000, "self_calibration": False}),
    ],
)
def test_with_another_choice_a_driver_passes_the_contract_as_well(name: str, options: dict[str, Any]) -> None:
    kind, model = catalogue.driver(name), catalogue.chip(name)

    class Chosen(kind):  # type: ignore[misc, valid-type]
        def __init__(self, bus: Any, address: Any = None, clock: Any = None) -> None:
            super().__init__(bus, address, clock, **options)

    class Wired(model):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.wire(**options)

    tolerance = {key: 20 * value for key, value in TOLERANCE[name].items()}  # a coarser step, a wider range
    members = {"driver": Chosen, "chip": Wired, "tolerance": tolerance, "beyond": {"voltage": (0.0, 1e6)}}
    if name == "ads1115":
        members["truth"] = truth_of_dividers
    contract = type("Contract", (DriverContract,), members)()
    contract.test_it_reads_what_the_world_has()
    contract.test_what_is_beyond_the_chip_is_no_reading()
    contract.test_a_brown_out_at_any_moment_is_never_a_wrong_reading()
    contract.test_a_flipped_bit_is_never_a_wrong_reading()
