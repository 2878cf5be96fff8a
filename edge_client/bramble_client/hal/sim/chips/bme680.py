"""Bosch BME680 at register level, from data sheet BST-BME680-DS001; without its filter, whose lag no test needs.

Readings are found by trying: the data sheet's floating-point formulas (section 3.3) turn a number into a value, and the number whose
value is closest to what is felt is the reading.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import ClassVar

from bramble_client.hal.sim.chips.bosch import PairChip

T1, T2, T3 = 26041, 26469, 3
P1, P2, P3, P4, P5, P6, P7, P8, P9, P10 = 36673, -10443, 88, 7186, -110, 30, 42, -1826, -3000, 30
H1, H2, H3, H4, H5, H6, H7 = 823, 1021, 0, 45, 20, 120, -100
GH1, GH2, GH3 = -42, -9000, 18
RANGE_SWITCHING_ERROR = -5  # a signed number of four bits, section 3.4.1
CYCLES = (0, 1, 2, 4, 8, 16, 16, 16)
# Section 3.4.1, table 16
GAS_1 = (0, 0, 0, 0, 0, -1, 0, -0.8, 0, 0, -0.2, -0.5, 0, -1, 0, 0)
GAS_2 = (0, 0, 0, 0, 0.1, 0.7, 0, -0.8, -0.1, 0, 0, 0, 0, 0, 0, 0)


class BME680(PairChip):
    """The chip in forced mode, with its gas sensor."""

    name = "bme680"
    resets: ClassVar[Mapping[int, int]] = {0xD0: 0x61, 0x1F: 0x80, 0x22: 0x80, 0x25: 0x80}
    writable: ClassVar[Mapping[int, int]] = {
        **dict.fromkeys(range(0x50, 0x6E), 0xFF),
        0x70: 0x08,
        0x71: 0x1F,
        0x72: 0x47,
        0x74: 0xFF,
        0x75: 0x1D,
        0xE0: 0xFF,
    }
    identity = 0xD0

    def power_on(self) -> None:
        """Reset the registers and load the calibration (section 3.3, tables 11 to 14)."""
        super().power_on()
        self.memory[0x8A:0x8D] = struct.pack("<hb", T2, T3)
        self.memory[0x8E:0x93] = struct.pack("<Hhb", P1, P2, P3)
        self.memory[0x94:0x9A] = struct.pack("<hhbb", P4, P5, P7, P6)
        self.memory[0x9C:0xA1] = struct.pack("<hhB", P8, P9, P10)
        self.memory[0xE1:0xE4] = bytes((H2 >> 4, (H2 & 0xF) << 4 | H1 & 0xF, H1 >> 4))
        self.memory[0xE4:0xE9] = struct.pack("<bbbBb", H3, H4, H5, H6, H7)
        self.memory[0xE9:0xEF] = struct.pack("<Hhbb", T1, GH2, GH1, GH3)
        self.memory[0x04] = (RANGE_SWITCHING_ERROR & 0xF) << 4
        self._done_at: float | None = None

    def written(self, address: int, value: int) -> None:
        """Reset, or begin to measure."""
        super().written(address, value)
        if address == 0x74 and value & 3 == 1:
            self._done_at = self.clock.monotonic() + self._duration()
            self.memory[0x1D] = 0x20

    def refresh(self) -> None:
        """Show the measurement that ended by now."""
        if self._done_at is not None and self.clock.monotonic() >= self._done_at:
            self._done_at = None
            self.memory[0x74] &= ~3
            self.memory[0x1D] = 0x80
            if not self.frozen:
                self._measure()

    def _duration(self) -> float:
        """Return the time of a measurement: section 3.3.4, and the heater's."""
        control, wait = self.memory[0x74], self.memory[0x64]
        cycles = CYCLES[control >> 5] + CYCLES[control >> 2 & 7] + CYCLES[self.memory[0x72] & 7]
        heating = (wait & 0x3F) * 4 ** (wait >> 6) / 1000 if self.memory[0x71] & 0x10 else 0.0
        return 0.001963 * cycles + 0.000477 * 9 + 0.001 + heating

    def _measure(self) -> None:
        temperature = _closest(_temperature, self.feel("temperature", 0.005), 1 << 20)
        fine = _temperature(temperature) * 5120
        pressure = _closest(lambda adc: -_pressure(adc, fine), -self.feel("pressure", 0.0012) * 100, 1 << 20)
        humidity = _closest(lambda adc: _humidity(adc, fine), min(max(self.feel("humidity", 0.01), 0.0), 100.0), 1 << 16)
        self.memory[0x1F:0x22] = (pressure << 4).to_bytes(3, "big")
        self.memory[0x22:0x25] = (temperature << 4).to_bytes(3, "big")
        self.memory[0x25:0x27] = humidity.to_bytes(2, "big")
        if self.memory[0x71] & 0x10:
            ohms = self.feel("gas_resistance", 20.0)
            scale = next((n for n in range(15, 0, -1) if _gas(0, n) >= ohms >= _gas(1023, n)), 0)
            adc = _closest(lambda adc: -_gas(adc, scale), -ohms, 1 << 10)
            self.memory[0x2A:0x2C] = bytes((adc >> 2, (adc & 3) << 6 | 0x30 | scale))


def _closest(formula: Callable[[int], float], value: float, numbers: int) -> int:
    """Return the number below ``numbers`` whose formula, which grows with it, comes closest to a value."""
    low, high = 0, numbers - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if formula(middle) <= value else (low, middle)
    return low if abs(formula(low) - value) <= abs(formula(high) - value) else high


def _temperature(adc: int) -> float:
    x = adc / 16384 - T1 / 1024
    return (x * T2 + (x / 8) ** 2 * T3 * 16) / 5120


def _pressure(adc: int, fine: float) -> float:
    v1 = fine / 2 - 64000
    v2 = (v1 * v1 * P6 / 131072 + v1 * P5 * 2) / 4 + P4 * 65536
    v1 = (1 + (P3 * v1 * v1 / 16384 + P2 * v1) / 524288 / 32768) * P1
    p = (1048576 - adc - v2 / 4096) * 6250 / v1
    return p + (P9 * p * p / 2147483648 + p * P8 / 32768 + (p / 256) ** 3 * P10 / 131072 + P7 * 128) / 16


def _humidity(adc: int, fine: float) -> float:
    t = fine / 5120
    v = (adc - H1 * 16 - H3 / 2 * t) * H2 / 262144 * (1 + H4 / 16384 * t + H5 / 1048576 * t * t)
    return v + (H6 / 16384 + H7 / 2097152 * t) * v * v


def _gas(adc: int, scale: int) -> float:
    v = (1340 + 5 * RANGE_SWITCHING_ERROR) * (1 + GAS_1[scale] / 100)
    return 1 / ((1 + GAS_2[scale] / 100) * 0.000000125 * (1 << scale) * ((adc - 512) / v + 1))
