"""Bosch BMP390 at register level, from data sheet BST-BMP390-DS002; without its queue, and without its filter, whose lag no test needs.

Readings are found by trying: the data sheet's formulas (section 8) fall steadily with the reading, and the one whose value is closest
to what is felt is it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import ClassVar

from bramble_client.hal.clock import Clock
from bramble_client.hal.sim.chips.bosch import PairChip
from bramble_client.hal.sim.scene import Scene

TRIM = (27427, 18776, -10, -164, -2866, 35, 0, 25578, 31086, -13, -10, 17322, 18, -60)
"""The trimming coefficients of one real chip, as its owner published them: PAR_T1 to PAR_T3, PAR_P1 to PAR_P11."""
FULL = (1 << 24) - 1
START_S = 0.002
PERIOD_S = 0.005  # section 4.3.19, at the fastest output rate; doubled with each further one


class BMP390(PairChip):
    """The chip with its sleep, forced and normal modes, oversampling, events and reset."""

    name = "bmp390"
    resets: ClassVar[Mapping[int, int]] = {0x00: 0x60, 0x01: 0x01, 0x03: 0x10, 0x06: 0x80, 0x09: 0x80, 0x10: 0x01, 0x1C: 0x02}
    writable: ClassVar[Mapping[int, int]] = {
        0x15: 0xFF,
        0x16: 0x01,
        0x17: 0x1F,
        0x18: 0x1F,
        0x19: 0x7F,
        0x1A: 0x06,
        0x1B: 0x33,
        0x1C: 0x3F,
        0x1D: 0x1F,
        0x1F: 0x0E,
        0x7E: 0xFF,
    }
    identity = 0x00
    reset_address = 0x7E

    def __init__(self, scene: Scene, clock: Clock, seed: int | str = 0, trim: tuple[int, ...] = TRIM) -> None:
        self.trim = trim
        super().__init__(scene, clock, seed)

    def power_on(self) -> None:
        """Reset the registers, load the trimming coefficients, and set the event that tells of it."""
        super().power_on()
        self.memory[0x31:0x46] = struct.pack("<HHbhhbbHHbbhbb", *self.trim)
        self._ready_at = self.clock.monotonic() + START_S
        self._done_at: float | None = None

    def written(self, address: int, value: int) -> None:
        """Reset, or start measuring."""
        super().written(address, value)
        if address == 0x1B:
            self._done_at = self.clock.monotonic() + self._conversion() if value & 0x30 and value & 3 else None

    def refresh(self) -> None:
        """Show what the conversions that ended by now have measured."""
        now = self.clock.monotonic()
        self.memory[0x03] = self.memory[0x03] & ~0x10 | (now >= self._ready_at) << 4
        self.memory[0x0C:0x0F] = (int(now * 25_600) & FULL).to_bytes(3, "little")  # section 4.3.7: the sensor's time
        if self._done_at is None or now < self._done_at:
            return
        if not self.frozen:
            self._measure()
        self.memory[0x03] |= (self.memory[0x1B] & 3) << 5
        if self.memory[0x1B] & 0x30 == 0x30:
            period = max(self._conversion(), PERIOD_S * 2.0 ** min(self.memory[0x1D], 17))
            self._done_at += ((now - self._done_at) // period + 1) * period
        else:
            self.memory[0x1B] &= ~0x30
            self._done_at = None

    def fetched(self, start: int, length: int) -> None:
        """Clear the flags that reading clears: data that were fetched, and the event (sections 4.3.3 and 4.3.8)."""
        for bit, first in ((0x20, 0x04), (0x40, 0x07)):
            if start < first + 3 and first < start + length:
                self.memory[0x03] &= ~bit
        if start <= 0x10 < start + length:
            self.memory[0x10] = 0

    def _conversion(self) -> float:
        """Return the typical measurement time in seconds (section 3.9.2)."""
        sensors, oversampling = self.memory[0x1B], self.memory[0x1C]
        pressure = 392 + 2020 * (1 << min(oversampling & 7, 5)) if sensors & 1 else 0
        temperature = 163 + 2020 * (1 << min(oversampling >> 3 & 7, 5)) if sensors & 2 else 0
        return (234 + pressure + temperature) / 1e6

    def _measure(self) -> None:
        sensors = self.memory[0x1B]
        celsius = self.feel("temperature", 0.003)
        temperature = _closest(self._celsius, celsius, rising=True)
        pressure = _closest(lambda raw: self._pascal(raw, self._celsius(temperature)), self.feel("pressure", 0.009) * 100, rising=False)
        self.memory[0x07:0x0A] = (temperature if sensors & 2 else 0x800000).to_bytes(3, "little")
        self.memory[0x04:0x07] = (pressure if sensors & 1 else 0x800000).to_bytes(3, "little")

    def _celsius(self, raw: int) -> float:
        """Section 8.5, with the scales of 8.4."""
        t1, t2, t3 = self.trim[:3]
        data = raw - 256.0 * t1
        return data * t2 * 2.0**-30 + data * data * t3 * 2.0**-48

    def _pascal(self, raw: int, t: float) -> float:
        """Section 8.6, with the scales of 8.4."""
        p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11 = self.trim[3:]
        one = 8.0 * p5 + p6 * t / 64 + p7 * t**2 / 256 + p8 * t**3 / 32768
        two = raw * ((p1 - 16384) * 2.0**-20 + (p2 - 16384) * 2.0**-29 * t + p3 * 2.0**-32 * t**2 + p4 * 2.0**-37 * t**3)
        three = raw**2 * (p9 + p10 * t) * 2.0**-48 + raw**3 * p11 * 2.0**-65
        return one + two + three


def _closest(value: Callable[[int], float], wanted: float, rising: bool) -> int:
    """Return the 24-bit reading whose value is closest to the wanted one, an end where it lies beyond."""
    low, high = 0, FULL
    while high - low > 1:
        middle = (low + high) // 2
        if (value(middle) < wanted) is rising:
            low = middle
        else:
            high = middle
    return min(low, high, key=lambda raw: abs(value(raw) - wanted))
