"""Bosch BMP390, and the BMP388 with the same registers: temperature and pressure.

Source: Bosch Sensortec, BMP390 data sheet BST-BMP390-DS002.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import Driver, Measurement, steady, within
from bramble_client.hal.drivers.identity import Identity
from bramble_client.hal.errors import NotReady, SettingsLost, UnsteadyRead
from bramble_client.hal.registers import Device, Field, Register

# Section 4.2, memory map
ID, PWR_CTRL, OSR, CONFIG, CMD = Register(0x00), Register(0x1B), Register(0x1C), Register(0x1F), Register(0x7E)
FIRST, SIZE = 0x03, 14  # status to event; the queue from 0x14 on has a register that does not move on
SETTINGS, SETTINGS_SIZE = 0x1B, 5
CALIBRATION, CALIBRATION_SIZE = 0x31, 21

READY, COMMAND_READY = Field(5, 2), Field(4)  # section 4.3.3: both kinds of data
DATA, EVENT = slice(1, 7), 0x10 - FIRST
POWER_ON_RESET = Field(0)  # section 4.3.8: since the last look
SENSORS, MODE = Field(0, 2), Field(4, 2)
BOTH, SLEEP, FORCED = 3, 0, 1
OVERSAMPLING = 0x03  # 8 pressures for one temperature, as section 3.5 advises indoors; 0x02 after power-on

SOFT_RESET = 0xB6
START_S = 0.002  # table 2, start-up time
CONVERSION_S = 0.0228  # section 3.9.2: 234 + (392 + 8 * 2020) + (163 + 2020) us, typical, and a fifth for what the maximum may be
UNMEASURED = 0x800000  # what a data register holds before the first measurement
LIMITS = 0x000000, 0xFFFFFF


@dataclass(frozen=True, slots=True)
class Calibration:
    """The trimming coefficients of one chip, as the floating-point numbers of section 8.4."""

    t: tuple[float, ...]
    """PAR_T1 to PAR_T3."""
    p: tuple[float, ...]
    """PAR_P1 to PAR_P11."""

    @classmethod
    def parse(cls, block: bytes) -> Calibration:
        """Read the 21 bytes from register 0x31 on (section 3.11.1), and scale each as section 8.4 says."""
        t1, t2, t3, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11 = struct.unpack("<HHbhhbbHHbbhbb", block)
        return cls(
            (t1 * 2.0**8, t2 / 2.0**30, t3 / 2.0**48),
            (
                (p1 - 2**14) / 2.0**20,
                (p2 - 2**14) / 2.0**29,
                p3 / 2.0**32,
                p4 / 2.0**37,
                p5 * 2.0**3,
                p6 / 2.0**6,
                p7 / 2.0**8,
                p8 / 2.0**15,
                p9 / 2.0**48,
                p10 / 2.0**48,
                p11 / 2.0**65,
            ),
        )

    def celsius(self, raw: int) -> float:
        """Return °C from a 24-bit reading (section 8.5)."""
        t1, t2, t3 = self.t
        x = raw - t1
        return x * t2 + x * x * t3

    def pressure(self, raw: int, celsius: float) -> float:
        """Return hPa from a 24-bit reading and the temperature (section 8.6, whose result is Pa)."""
        p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11 = self.p
        t = celsius
        offset = p5 + t * (p6 + t * (p7 + t * p8))
        slope = p1 + t * (p2 + t * (p3 + t * p4))
        return (offset + raw * (slope + raw * (p9 + p10 * t + raw * p11))) / 100.0


class BMP390(Driver):
    """One measurement a call, in forced mode: the chip sleeps in between."""

    name = "bmp390"
    chip = "BMP390"
    addresses = (0x76, 0x77)
    channels = ("temperature", "pressure")
    fastest = 0.05
    frozen_after = 10
    ranges: Mapping[str, tuple[float, float]] = {"temperature": (-40, 85), "pressure": (300, 1250)}  # table 2
    identity = Identity(ID, {0x60: "BMP390", 0x50: "BMP388"}, neighbours="BMP280, BME280 and BME680")

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None) -> None:
        super().__init__(bus, address, clock)
        self._chip = Device(bus, self.address)

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip's id is this one's or the BMP388's; older siblings have theirs in another register."""
        return cls.identity.fits(bus, address)

    def setup(self) -> None:
        """Check the id, reset, read the calibration, and write the settings."""
        self.identity.prove(self)
        self._chip.write(CMD, SOFT_RESET)
        self.clock.sleep(START_S)
        state = self._chip.block(FIRST, SIZE)  # which forgets the reset that was meant
        if not COMMAND_READY.get(state[0]):
            raise NotReady(f"{self} is not ready after a reset; take its power away for a moment")
        self._calibration = Calibration.parse(steady(lambda: self._chip.block(CALIBRATION, CALIBRATION_SIZE), self))
        self._chip.write(OSR, OVERSAMPLING)
        self._chip.write(CONFIG, 0)

    def read(self) -> Measurement:
        """Measure once; the pressure is compensated by the temperature, so that there is none without it.

        Raises
        ------
        SettingsLost
            If the chip was without power since ``setup``.
        NotReady
            If no conversion begins, or it takes longer than the data sheet allows.
        UnsteadyRead
            If the bytes were damaged on the way.
        """
        self._chip.write(PWR_CTRL, MODE.put(BOTH, FORCED))
        self.clock.sleep(CONVERSION_S)
        at = self.clock.monotonic()
        first, second = self._chip.block(FIRST, SIZE), self._chip.block(FIRST, SIZE)
        settings = self._chip.block(SETTINGS, SETTINGS_SIZE)
        self._check(first, second, settings)
        pressure, temperature = (int.from_bytes(first[i : i + 3], "little") for i in (1, 4))
        if pressure == temperature == UNMEASURED:
            raise SettingsLost(f"{self} shows power-on values instead of a measurement; check its power supply")
        celsius = within(temperature, *LIMITS, self._calibration.celsius(temperature))
        hectopascals = within(pressure, *LIMITS, self._calibration.pressure(pressure, celsius))  # NaN where the temperature is
        return Measurement(at, {"temperature": celsius, "pressure": hectopascals})

    def _check(self, first: bytes, second: bytes, settings: bytes) -> None:
        """Insist that the chip measured, that both reads show the same, and that it kept its settings."""
        power, oversampling, filtering = (settings[register.address - SETTINGS] for register in (PWR_CTRL, OSR, CONFIG))
        kept = SENSORS.get(power) == BOTH and oversampling == OVERSAMPLING and filtering == 0
        if POWER_ON_RESET.get(first[EVENT] | second[EVENT]) or not kept:
            raise self._settings_lost()
        if READY.get(first[0]) != BOTH or MODE.get(power) != SLEEP:
            raise NotReady(f"{self} has not measured after {CONVERSION_S * 1000:.1f} ms, longer than its data sheet allows")
        if first[DATA] != second[DATA]:
            raise UnsteadyRead(f"{self}: two reads of the same registers differ; shorten the wires or slow the bus down")
