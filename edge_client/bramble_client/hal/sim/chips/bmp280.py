"""Bosch BMP280 at register level, from data sheet BST-BMP280-DS001.

It turns what it feels into ADC readings by inverting the data sheet's floating-point formulas (section 8.1), while the driver uses
the integer ones: the two check each other.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import sqrt
from typing import ClassVar

from bramble_client.hal.clock import Clock
from bramble_client.hal.sim.chips.bosch import PairChip
from bramble_client.hal.sim.chips.word_registers import clamp
from bramble_client.hal.sim.scene import Scene

SLEEP, FORCED = 0, 1
STANDBY_MS = (0.5, 62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0)
TRIM_T = (27504, 26435, -1000)
TRIM_P = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
"""The worked example's trimming parameters (section 3.12)."""
START_S = 0.002


class BMP280(PairChip):
    """The chip with its sleep, forced and normal modes, oversampling, and reset."""

    name = "bmp280"
    resets: ClassVar[Mapping[int, int]] = {0xD0: 0x58, 0xF7: 0x80, 0xFA: 0x80}
    writable: ClassVar[Mapping[int, int]] = {0xE0: 0xFF, 0xF4: 0xFF, 0xF5: 0xFD}
    identity = 0xD0
    standby_ms: ClassVar[tuple[float, ...]] = STANDBY_MS

    def __init__(
        self, scene: Scene, clock: Clock, seed: int | str = 0, trim_t: tuple[int, ...] = TRIM_T, trim_p: tuple[int, ...] = TRIM_P
    ) -> None:
        self.trim_t, self.trim_p = trim_t, trim_p
        super().__init__(scene, clock, seed)

    def power_on(self) -> None:
        """Reset the registers and copy the trimming parameters from the chip's memory, which takes 2 ms."""
        super().power_on()
        self.memory[0x88:0xA0] = struct.pack("<HhhHhhhhhhhh", *self.trim_t, *self.trim_p)
        self._ready_at = self.clock.monotonic() + START_S
        self._done_at: float | None = None

    def written(self, address: int, value: int) -> None:
        """Reset, or start measuring."""
        super().written(address, value)
        if address == 0xF4:
            self._done_at = self.clock.monotonic() + self._conversion() if value & 3 else None

    def refresh(self) -> None:
        """Show what the conversions that ended by now have measured."""
        now = self.clock.monotonic()
        mode = self.memory[0xF4] & 3
        if self._done_at is not None and now >= self._done_at:
            if not self.frozen:
                self._measure()
            if mode in (FORCED, 2):
                self.memory[0xF4] &= ~3
                self._done_at = None
            else:
                period = self._conversion() + self.standby_ms[self.memory[0xF5] >> 5] / 1000
                self._done_at += ((now - self._done_at) // period + 1) * period
        measuring = self._done_at is not None and self._done_at - now <= self._conversion()
        self.memory[0xF3] = measuring << 3 | (now < self._ready_at)

    def _oversampling(self) -> tuple[int, ...]:
        """Return osrs_t and osrs_p as factors; 0 skips the measurement (tables 4 and 5)."""
        control = self.memory[0xF4]
        return tuple((0, 1, 2, 4, 8, 16, 16, 16)[bits & 7] for bits in (control >> 5, control >> 2))

    def _conversion(self) -> float:
        """Return the typical measurement time in seconds (section 3.8.1)."""
        times = [1.0, *(2.0 * factor for factor in self._oversampling())]
        return (sum(times) + 0.5 * sum(1 for time in times[2:] if time)) / 1000

    def _measure(self) -> None:
        osrs_t, osrs_p = self._oversampling()[:2]
        celsius = self.feel("temperature", 0.005 if osrs_t else 0.0)
        adc_t, fine = self._adc_temperature(celsius)
        self._put(0xFA, adc_t, osrs_t)
        self._fine = fine
        pascal = self.feel("pressure", 0.025) * 100 if osrs_p else 0.0
        self._put(0xF7, self._adc_pressure(pascal, fine) if osrs_p else 0, osrs_p)

    def _put(self, address: int, adc: int, oversampling: int) -> None:
        """Store a 20-bit reading; with the filter off, its resolution is 16 bits and one more for each doubling (section 3.3)."""
        adc = clamp(adc, 0, 0xFFFFF)
        if not oversampling:
            adc = 0x80000
        elif not self.memory[0xF5] >> 2 & 7:
            adc &= ~(0xF >> (oversampling.bit_length() - 1))
        self.memory[address : address + 3] = (adc << 4).to_bytes(3, "big")

    def _adc_temperature(self, celsius: float) -> tuple[int, float]:
        t1, t2, t3 = self.trim_t
        fine = celsius * 5120.0
        # fine = x * t2 + (x / 8) ** 2 * t3 with x = adc / 16384 - t1 / 1024; the small root in a form that stands t3 = 0
        x = 2 * fine / (t2 + sqrt(max(t2 * t2 + fine * t3 / 16.0, 0.0)))
        adc = round((x + t1 / 1024.0) * 16384.0)
        x = adc / 16384.0 - t1 / 1024.0
        return adc, x * t2 + x * x / 64.0 * t3

    def _adc_pressure(self, pascal: float, fine: float) -> int:
        p1, p2, p3, p4, p5, p6, p7, p8, p9 = self.trim_p
        v1 = fine / 2.0 - 64000.0
        v2 = (v1 * v1 * p6 / 32768.0 + v1 * p5 * 2.0) / 4.0 + p4 * 65536.0
        v1 = (1.0 + (p3 * v1 * v1 / 524288.0 + p2 * v1) / 524288.0 / 32768.0) * p1
        # pascal = p + (p9 * p ** 2 / 2 ** 31 + p8 * p / 2 ** 15 + p7) / 16, a quadratic in p
        a, b, c = p9 / 2147483648.0 / 16.0, 1.0 + p8 / 32768.0 / 16.0, p7 / 16.0 - pascal
        p = -2 * c / (b + sqrt(max(b * b - 4 * a * c, 0.0)))
        return round(1048576.0 - v2 / 4096.0 - p * v1 / 6250.0)
