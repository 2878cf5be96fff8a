"""Bosch BMP280: temperature and pressure.

Source: Bosch Sensortec, BMP280 data sheet BST-BMP280-DS001. The BME280 is the same chip with a humidity sensor;
its driver extends this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import OUT_OF_RANGE, Driver, Measurement, steady, within
from bramble_client.hal.drivers.identity import Identity
from bramble_client.hal.errors import NotReady, SettingsLost
from bramble_client.hal.registers import Device, Field, Register

# Section 4.2, memory map
ID, RESET, STATUS, CTRL_MEAS, CONFIG = Register(0xD0), Register(0xE0), Register(0xF3), Register(0xF4), Register(0xF5)
CALIBRATION, CALIBRATION_SIZE = 0x88, 24
FIRST, SIZE = 0xF3, 10  # status to temp_xlsb, in one burst as section 3.9 asks

BOSCH = {
    0x55: "BMP180, which no driver here reads",
    **dict.fromkeys((0x56, 0x57, 0x58), 'BMP280; write driver = "bmp280"'),
    0x60: 'BME280; write driver = "bme280"',
    0x61: 'BME680; write driver = "bme680"',
}
"""Chips with their id in the same register, at the same addresses."""
MEASURING, COPYING = Field(3), Field(0)
OSRS_T, OSRS_P, MODE, T_SB = Field(5, 3), Field(2, 3), Field(0, 2), Field(5, 3)

SOFT_RESET = 0xB6  # section 4.3.2
FORCED = 1
SKIPPED = 0x80000  # what a data register holds before the first measurement
LIMITS = 0, 0xFFFF0  # section 3.3.1: 16 bits of the 20 with oversampling of 1 and no filter
START_S = 0.002  # table 2, start-up time


@dataclass(frozen=True, slots=True)
class Calibration:
    """The trimming parameters of one chip (section 3.11.2), and the formulas that need them (section 3.11.3)."""

    t: tuple[int, ...]
    """dig_T1 (unsigned), dig_T2, dig_T3."""
    p: tuple[int, ...]
    """dig_P1 (unsigned), dig_P2 to dig_P9."""

    @classmethod
    def parse(cls, block: bytes) -> Calibration:
        """Read the 24 bytes from register 0x88 on: little-endian words, the first of each kind unsigned."""
        words = [int.from_bytes(block[i : i + 2], "little", signed=i not in (0, 6)) for i in range(0, CALIBRATION_SIZE, 2)]
        return cls(tuple(words[:3]), tuple(words[3:]))

    def fine(self, raw: int) -> int:
        """Return t_fine, the temperature in 1/5120 °C, from a 20-bit reading: the data sheet's 32-bit integer formula."""
        t1, t2, t3 = self.t
        part = (raw >> 4) - t1
        return (((raw >> 3) - (t1 << 1)) * t2 >> 11) + ((part * part >> 12) * t3 >> 14)

    def pressure(self, raw: int, fine: int) -> float:
        """Return hPa from a 20-bit reading and t_fine: the data sheet's 64-bit integer formula, whose result is Pa in Q24.8."""
        p1, p2, p3, p4, p5, p6, p7, p8, p9 = self.p
        x = fine - 128000
        offset = x * x * p6 + (x * p5 << 17) + (p4 << 35)
        slope = ((x * x * p3 >> 8) + (x * p2 << 12) + (1 << 47)) * p1 >> 33
        if slope == 0:  # dig_P1 of a chip that lost its calibration; the data sheet's code guards it the same way
            raise SettingsLost("the calibration for pressure is zero; the chip is damaged, or was read while it started")
        p = (((1048576 - raw) << 31) - offset) * 3125 // slope
        p = (p + (p9 * (p >> 13) * (p >> 13) >> 25) + (p8 * p >> 19) >> 8) + (p7 << 4)
        return p / 25600.0


class BMP280(Driver):
    """One measurement a call, in forced mode: the chip sleeps in between, as section 3.6 advises for weather monitoring."""

    name = "bmp280"
    chip = "BMP280"
    addresses = (0x76, 0x77)
    channels: ClassVar[tuple[str, ...]] = ("temperature", "pressure")
    fastest = 0.05
    frozen_after = 10

    identity = Identity(ID, {0x58: "BMP280", 0x57: "BMP280", 0x56: "BMP280"}, BOSCH)  # section 4.3.1; the last two are early samples
    control = OSRS_T.put(OSRS_P.put(FORCED, 1), 1)
    # t_sb is without effect in forced mode; not its power-on value, it betrays a chip that was without power
    config = T_SB.put(0, 5)
    conversion_s: ClassVar[float] = 0.0064  # table 13, ultra low power, maximum
    skipped: ClassVar[tuple[int, ...]] = (SKIPPED, SKIPPED)
    _first, _size = FIRST, SIZE

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None) -> None:
        super().__init__(bus, address, clock)
        self._chip = Device(bus, self.address)
        self._start = bytes((CTRL_MEAS.address, self.control))
        self._window = bytes((self._first,))
        self._last = b""

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip's id is this one's; its siblings sit at the same addresses with another."""
        return cls.identity.fits(bus, address)

    def setup(self) -> None:
        """Check the id, reset, wait for the calibration, read it, and write the settings."""
        self.identity.prove(self)
        self._chip.write(RESET, SOFT_RESET)
        self.clock.sleep(START_S)
        for _ in range(10):
            if not COPYING.get(self._chip.read(STATUS)):
                break
            self.clock.sleep(START_S)
        else:
            raise NotReady(f"{self} did not load its calibration after a reset; take its power away for a moment")
        self._read_calibration()
        self._write_settings()
        self._last = b""

    def _read_calibration(self) -> None:
        self._calibration = Calibration.parse(steady(lambda: self._chip.block(CALIBRATION, CALIBRATION_SIZE), self))

    def _write_settings(self) -> None:
        self._chip.write(CONFIG, self.config)

    def read(self) -> Measurement:
        """Measure once; the time stamp is the conversion's end.

        Raises
        ------
        SettingsLost
            If the chip was without power since ``setup``.
        NotReady
            If the conversion takes longer than the data sheet allows.
        UnsteadyRead
            If the bytes were damaged on the way.
        """
        block = self._convert()
        if block == self._last:  # equal to the last bit: perhaps the order to measure was damaged, so give it once more
            block = self._convert()
        self._last = block
        return Measurement(self._done, self._decode(block))

    def _convert(self) -> bytes:
        transfer, address = self.bus.transfer, self.address
        transfer(address, self._start)
        self.clock.sleep(self.conversion_s)
        self._done = self.clock.monotonic()
        block = steady(lambda: transfer(address, self._window, self._size), self)
        status = block[STATUS.address - self._first]
        control = block[CTRL_MEAS.address - self._first]
        if control & ~MODE.mask != self.control & ~MODE.mask or not self._settings_held(block):
            raise self._settings_lost()
        if MEASURING.get(status) or MODE.get(control):
            raise NotReady(f"{self} is still measuring after {self.conversion_s * 1000:.1f} ms, longer than its data sheet allows")
        return block

    def _settings_held(self, block: bytes) -> bool:
        return block[CONFIG.address - self._first] == self.config

    def _decode(self, block: bytes) -> dict[str, float]:
        raw = self._raw(block)
        if raw == self.skipped:  # all of them: by itself, each is the code of an ordinary room
            raise SettingsLost(f"{self} shows power-on values instead of a measurement; check its power supply")
        if not LIMITS[0] < raw[0] < LIMITS[1]:  # without the temperature nothing else can be compensated
            return dict.fromkeys(self.channels, OUT_OF_RANGE)
        return self._compensated(raw, self._calibration.fine(raw[0]))

    def _raw(self, block: bytes) -> tuple[int, ...]:
        """Return the codes of temperature and pressure."""
        data = 0xF7 - self._first
        return int.from_bytes(block[data + 3 : data + 6], "big") >> 4, int.from_bytes(block[data : data + 3], "big") >> 4

    def _compensated(self, raw: tuple[int, ...], fine: int) -> dict[str, float]:
        return {"temperature": (fine * 5 + 128 >> 8) / 100, "pressure": within(raw[1], *LIMITS, self._calibration.pressure(raw[1], fine))}
