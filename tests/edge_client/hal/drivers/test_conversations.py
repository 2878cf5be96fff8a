"""What each driver says on the wire, byte by byte, and how long it waits, beside what the data sheets ask for.

A step is what is written, in hexadecimal, with ``>n`` where n bytes are read after it; ``~x`` is a wait of at least x ms, the data
sheet's maximum, and not much more.
"""

from __future__ import annotations

import pytest

from bramble_client.hal import catalogue
from bramble_client.hal.drivers.base import Streaming
from tests.edge_client.hal.bench import WORLD, Bench

SETUP = {
    "tmp117": "0f>2 010002 ~2",  # SNOSD82D: identity; soft reset, section 7.6.3; 2 ms, section 6.6
    "tmp102": "0161a0 ~35",  # SBOS397: shut down, the rest as after power-on
    "tmp105": "0168",  # SBOS648: 12 bits, two faults
    "lm75": "0108",  # two faults
    "ads1115": "01>2",
    "ina219": "008000 051000 05>2 03>2",  # SBOS448G: reset, 8.6.2.1; calibration for 0.1 Ohm and 0.1 mA, 8.5.1; POWER clears CNVR, 8.6.3.2
    "bh1750": "01 07",  # power on, reset
    "mpu6050": "75>1 6b80 ~100 6b01 1904030808 ~30 6b>1 19>4",  # sections 4.28, 4.2 to 4.5: 200 Hz, 44 Hz low-pass, 500 °/s, 4 g
    "adxl345": "00>1 2d00 310b 2c0a 3800 3800 2d08 ~11.1",  # standby first; full resolution at 16 g, 100 Hz, bypass; measure last
    "scd4x": "3f86 ~500 3646 ~20 3682 ~1 >9 21b1",  # sections 3.5.3, 3.9.5, 3.9.2, 3.5.1
    "sht3x": "30a2 ~1.5 f32d>3",  # sections 4.9 and 4.11
    "sht4x": "94 ~1 89 ~1 >6",  # section 4.5
    "bmp280": "d0>1 e0b6 ~2 f3>1 88>24 88>24 f5a0",  # 4.3.2, table 2, 3.11.2; t_sb marks the chip
    "bme280": "d0>1 e0b6 ~2 f3>1 88>26 88>26 e1>7 e1>7 f201 f5a0",  # 5.4.2, 4.2.2, 5.4.3
    "ina226": "ff>2 fe>2 008000 004323 ~9.68",  # SBOS547B: both ids; reset, 7.1.1; 4 averages of 1.1 ms, triggered
    "mcp9808": "07>2 06>2 010200 0803",  # DS25095A: both ids; hysteresis as a mark, the finest resolution
    "shtc3": "3517 ~0.24 805d ~0.24 efc8>3",  # sections 5.1, 5.7 and 5.9; table 5
    "aht20": "ba ~20 >1",  # section 5.5; the status says that the calibration is there
    "bmp390": "00>1 7eb6 ~2 03>14 31>21 31>21 1c03 1f00",  # DS002: id; reset, table 2; its event is forgotten; calibration, 8 and 1 times
    # As ST's API does: restart, stop value, reference, tuning, pin, both calibrations; then all is read back
    "vl53l0x": "ff00 8000 bf01 ~2 c0>2 bf00 ~2 bf01 ~2 c0>2 89>1 8901 8800 8001 ff01 0000 91>1 91>1 0001 ff00 8000 "
    "8001 ff01 0000 ff06 83>1 8304 ff07 8101 8001 946b 8300 83>1 ~5 83>1 8301 92>1 92>1 8100 ff06 83>1 8300 ff01 0001 ff00 8000 "
    "b0>6 b0>6 ff01 4f00 4e2c ff00 b6b4 b000b077000000 "
    "ff01 0000 ff00 0900 1000 1100 2401 25ff 7500 ff01 4e2c 4800 3020 ff00 3009 5400 3104 3203 4083 4625 6000 2700 5006 5100 5296 5608 "
    "5730 6100 6200 6400 6500 66a0 ff01 2232 4714 49ff 4a00 ff00 7a0a 7b00 7821 ff01 2334 4200 44ff 4526 4605 4040 0e06 201a 4340 "
    "ff00 3403 3544 ff01 3104 4b09 4c05 4d04 ff00 4400 4520 4708 4828 6700 7004 7101 72fe 7600 7700 ff01 0d01 ff00 8001 01f8 "
    "ff01 8e01 0001 ff00 8000 0a04 84>1 8400 0b01 0101 0041 13>1 ~5 13>1 0b01 0000 0102 0001 13>1 ~5 13>1 0b01 0000 01e8 "
    "ff01 0d>2 20>1 22>2 30>2 40>1 42>14 8e>1 ff00 09>1 10>2 24>2 27>1 30>3 34>2 40>1 44>5 50>3 54>1 56>2 60>3 64>4 70>3 75>4 7a>2 b6>1",
    "sgp40": "3615 ~1 3682 ~1 >9 260f8000a2666693 ~30 >3 280e ~320 >3",  # table 8
}
READ = {
    "tmp117": "010c20 ~140 01>2 00>2 00>2 01>2",  # one shot, 8 averages of at most 17.5 ms
    "tmp102": "01e1a0 01>2 ~35 01>2 00>2 00>2 01>2",  # OS orders; it reads 0 while converting
    "tmp105": "~290 00>2 00>2 01>1",
    "lm75": "~270 00>2 00>2 01>1",
    "ads1115": " ".join(f"01{mux}383 01>2 ~8.59 01>2 00>2 00>2 01>2" for mux in ("c", "d", "e", "f")),  # 128 Hz, 10 % off: section 7.5
    "ina219": "00399b ~1.172 02>2 01>2 04>2 03>2 02>2 00>2 05>2",  # twice 586 us; POWER after BUS, since it clears CNVR
    "bh1750": " ".join(["42 65 20 ~180 >2 >2"] * 2),  # measurement time 69, one time in H-resolution
    "mpu6050": "3a>1 3a>15 3a>15 6b>1 19>4",  # flag and data in one burst, section 4.17
    "adxl345": "30>1 2c>14 2c>14",
    "scd4x": "~4970 e4b8 ~1 >3 ec05 ~1 >9",  # section 3.5.1: every 5 s
    "sht3x": "2400 ~15 >6",  # table 9: high repeatability, no clock stretching
    "sht4x": "fd ~8.3 >6",
    "bmp280": "f425 ~6.4 f3>10 f3>10",  # forced mode, oversampling of 1; one burst, section 3.9
    "bme280": "f425 ~9.3 f2>13 f2>13",
    "ina226": "06>2 004323 ~9.68 06>2 01>2 02>2 01>2 02>2 00>2",  # section 5.5: 4 times twice 1.21 ms
    "mcp9808": "~270 05>2 05>2 01>2 08>1",
    "shtc3": "7866 ~12.1 >6",  # table 9: normal mode, temperature first, no clock stretching
    "aht20": "ac3300 >1 ~80 >7",  # section 5.4
    "bmp390": "1b13 ~18.97 03>14 03>14 1b>5",  # forced mode; section 3.9.2; the queue at 0x14 is left alone
    "vl53l0x": "8001 ff01 0000 913c 91>1 0001 ff00 8000 0001 ~33 13>1 14>12 14>12 0b01 13>1 01>1 0a>1 b0>6 "
    "ff01 0d>2 20>1 22>2 30>2 40>1 42>14 8e>1 ff00 09>1 10>2 24>2 27>1 30>3 34>2 40>1 44>5 50>3 54>1 56>2 60>3 64>4 70>3 75>4 7a>2 b6>1",
    "sgp40": "260f8000a2666693 ~30 >3 260f8000a2666693 ~30 >3 260f8000a2666693 ~30 >3",  # section 3.1: the first value is thrown away
}
START = {
    "mpu6050": "75>1 6b80 ~100 6b01 1913030808 ~30 6b>1 19>4 2378 23>1 6a04 6a40",  # 50 Hz; sections 4.6 and 4.27
    "adxl345": "00>1 2d00 310b 2c09 3800 3880 2d08 ~11.1",  # table 7; "FIFO", stream
}
ADDRESSES = {  # the usual one first
    "tmp117": {0x48, 0x49, 0x4A, 0x4B},
    "tmp102": {0x48, 0x49, 0x4A, 0x4B},
    "tmp105": {0x48, 0x49},
    "lm75": set(range(0x48, 0x50)),
    "ads1115": {0x48, 0x49, 0x4A, 0x4B},
    "ina219": set(range(0x40, 0x50)),
    "bh1750": {0x23, 0x5C},
    "mpu6050": {0x68, 0x69},
    "adxl345": {0x53, 0x1D},
    "scd4x": {0x62},
    "sht3x": {0x44, 0x45},
    "sht4x": {0x44, 0x45, 0x46},
    "bmp280": {0x76, 0x77},
    "bme280": {0x76, 0x77},
    "ina226": set(range(0x40, 0x50)),
    "mcp9808": set(range(0x18, 0x20)),
    "shtc3": {0x70},
    "aht20": {0x38},
    "sgp40": {0x59},
    "vl53l0x": {0x29},
    "bmp390": {0x76, 0x77},
}
CERTAIN = {
    "tmp117",
    "mpu6050",
    "adxl345",
    "scd4x",
    "sht3x",
    "sht4x",
    "bmp280",
    "bme280",
    "ina226",
    "mcp9808",
    "shtc3",
    "sgp40",
    "bmp390",
    "vl53l0x",
}
"""Chips with an id, a serial number, or an answer with a check sum; the others can only be guessed."""


def listen(bench: Bench) -> list[str]:
    said: list[str] = []
    transfer, sleep = bench.bus.transfer, bench.clock.sleep

    def heard(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        assert address == bench.driver.address
        said.append(write.hex() + (f">{read}" if read else ""))
        return transfer(address, write, read)

    def waited(seconds: float) -> None:
        said.append(f"~{seconds * 1000:.9g}")
        sleep(seconds)

    bench.bus.transfer, bench.clock.sleep = heard, waited  # type: ignore[method-assign]
    return said


def compare(said: list[str], expected: str) -> None:
    steps = expected.split()
    # A wait of a millisecond after the last order protects nothing that is checked here
    said = said[: len(steps)] if len(said) == len(steps) + 1 and said[-1].startswith("~") else said
    assert [step if step[0] != "~" else "~" for step in said] == [step if step[0] != "~" else "~" for step in steps]
    for step, asked in zip(said, steps, strict=True):
        if asked[0] == "~":
            assert float(asked[1:]) * (1 - 1e-9) <= float(step[1:]) <= 1.15 * float(asked[1:]) + 10, f"waits {step[1:]} ms"


@pytest.mark.parametrize("name", SETUP)
def test_it_sets_the_chip_up_as_the_data_sheet_asks(name: str) -> None:
    bench = Bench(name, **WORLD)
    bench.clock.sleep(0.01)
    said = listen(bench)
    bench.driver.setup()
    compare(said, SETUP[name])


@pytest.mark.parametrize("name", READ)
def test_it_measures_as_the_data_sheet_asks(name: str) -> None:
    bench = Bench(name, **WORLD)
    bench.driver.setup()
    bench.clock.sleep(0.03)
    said = listen(bench)
    bench.driver.read()
    compare(said, READ[name])


@pytest.mark.parametrize("name", START)
def test_it_starts_a_queue_as_the_data_sheet_asks(name: str) -> None:
    bench = Bench(name, **WORLD)
    said = listen(bench)
    bench.driver.start(50.0)
    compare(said, START[name])


@pytest.mark.parametrize("name", ADDRESSES)
def test_it_looks_for_the_chip_where_its_pins_can_put_it(name: str) -> None:
    kind = catalogue.driver(name)
    assert set(kind.addresses) == ADDRESSES[name]
    assert len(kind.addresses) == len(ADDRESSES[name])
    assert kind.certain is (name in CERTAIN)


@pytest.mark.parametrize("name", READ)
def test_one_measurement_takes_no_longer_than_the_fastest_pace_allows(name: str) -> None:
    kind = catalogue.driver(name)
    bench = Bench(name, **WORLD)
    bench.driver.setup()
    for _ in range(5):
        bench.clock.sleep(kind.interval)
        before = bench.clock.monotonic()
        bench.driver.read()
        assert bench.clock.monotonic() - before <= kind.fastest
    assert kind.fastest <= kind.interval
    assert (kind.interval == 60) is not issubclass(kind, Streaming)


@pytest.mark.parametrize("name", [name for name in READ if catalogue.driver(name).frozen_after is not None])
def test_a_healthy_chip_never_repeats_itself_for_as_long_as_a_stuck_one(name: str) -> None:
    """In a world that stands still, noise alone tells a healthy chip from a stuck one, for a thousand measurements."""
    kind = catalogue.driver(name)
    bench = Bench(name, **WORLD)
    del bench.chip.random.gauss
    bench.driver.setup()
    last, equal = None, 0
    for _ in range(1000):
        bench.clock.sleep(kind.fastest)
        values = bench.read()
        equal = equal + 1 if values == last else 0
        last = values
        assert kind.frozen_after is not None
        assert equal < kind.frozen_after


@pytest.mark.parametrize("name", sorted(CERTAIN - {"scd4x", "sht3x", "sht4x", "shtc3", "sgp40"}))
def test_identity_takes_reads_and_no_write(name: str) -> None:
    bench = Bench(name, **WORLD)
    bench.clock.sleep(0.01)
    said = listen(bench)
    assert bench.driver.identify(bench.bus, bench.driver.address)
    assert " ".join(said) in ("0f>2", "75>1", "00>1", "d0>1", "ff>2 fe>2", "07>2 06>2", "c0>2")


@pytest.mark.parametrize(
    ("name", "low", "high", "fits"),
    [
        ("lm75", 0x4B00, 0x5000, True),
        ("lm75", 0x5000, 0x4B00, False),
        ("lm75", 0x5000, 0x5000, False),
        ("tmp105", 0x1230, 0x5000, True),
    ],
)
def test_thermometers_without_identity_are_ruled_out_by_their_limits(name: str, low: int, high: int, fits: bool) -> None:
    bench = Bench(name, **WORLD)
    bench.send(0x02, *low.to_bytes(2, "big"))
    bench.send(0x03, *high.to_bytes(2, "big"))
    assert bench.driver.identify(bench.bus, 0x48) is fits


@pytest.mark.parametrize(("name", "register", "word"), [
    ("lm75", 0x02, 0x4B40), ("lm75", 0x03, 0x5001), ("lm75", 0x01, 0x20), ("lm75", 0x01, 0x80),
    ("tmp105", 0x02, 0x4B08), ("tmp105", 0x01, 0x80), ("tmp102", 0x01, 0x20A0), ("tmp102", 0x01, 0x60A1), ("tmp102", 0x03, 0x5008),
    ("ads1115", 0x02, 0x8001), ("ads1115", 0x03, 0x7FFE), ("ads1115", 0x01, 0x8483), ("ina219", 0x00, 0x399E), ("tmp117", 0x0F, 0x0118),
    ("ina226", 0xFE, 0x5448), ("ina226", 0xFF, 0x2270), ("mcp9808", 0x06, 0x0055), ("mcp9808", 0x07, 0x0301),
])  # fmt: skip
def test_bits_that_the_chip_does_not_have_rule_it_out(name: str, register: int, word: int) -> None:
    bench = Bench(name, **WORLD)
    assert bench.driver.identify(bench.bus, bench.driver.address)
    bench.chip.refresh = lambda: None
    bench.chip.words[register] = word
    assert not bench.driver.identify(bench.bus, bench.driver.address)


@pytest.mark.parametrize("revision", [0x0117, 0x1117, 0xF117])
def test_tmp117_of_any_revision_is_one(revision: int) -> None:
    bench = Bench("tmp117", **WORLD)
    bench.chip.words[0x0F] = revision
    assert bench.driver.identify(bench.bus, 0x48)
    bench.driver.setup()
