"""Bosch BME280 at register level, from data sheet BST-BME280-DS002: a BMP280 with humidity."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import ClassVar

from bramble_client.hal.clock import Clock
from bramble_client.hal.sim.chips.bmp280 import BMP280, STANDBY_MS, TRIM_P, TRIM_T
from bramble_client.hal.sim.chips.word_registers import clamp
from bramble_client.hal.sim.scene import Scene

TRIM_H = (75, 370, 0, 313, 50, 30)
"""Typical dig_H1 to dig_H6; the data sheet gives no worked example for humidity."""


class BME280(BMP280):
    """The chip with its calibration in two blocks, and the humidity control register that waits for another write."""

    name = "bme280"
    resets: ClassVar[Mapping[int, int]] = {0xD0: 0x60, 0xF7: 0x80, 0xFA: 0x80, 0xFD: 0x80}
    writable: ClassVar[Mapping[int, int]] = {0xE0: 0xFF, 0xF2: 0x07, 0xF4: 0xFF, 0xF5: 0xFD}
    standby_ms = (*STANDBY_MS[:6], 10.0, 20.0)  # section 5.4.6, table 27

    def __init__(
        self,
        scene: Scene,
        clock: Clock,
        seed: int | str = 0,
        trim_t: tuple[int, ...] = TRIM_T,
        trim_p: tuple[int, ...] = TRIM_P,
        trim_h: tuple[int, ...] = TRIM_H,
    ) -> None:
        self.trim_h = trim_h
        super().__init__(scene, clock, seed, trim_t, trim_p)

    def power_on(self) -> None:
        """Reset, and copy the humidity's trimming parameters too (section 4.2.2, table 16)."""
        super().power_on()
        h1, h2, h3, h4, h5, h6 = self.trim_h
        self.memory[0xA1] = h1
        self.memory[0xE1:0xE3] = (h2 & 0xFFFF).to_bytes(2, "little")
        self.memory[0xE3] = h3
        self.memory[0xE4] = h4 >> 4 & 0xFF
        self.memory[0xE5] = h4 & 0x0F | (h5 & 0x0F) << 4
        self.memory[0xE6] = h5 >> 4 & 0xFF
        self.memory[0xE7] = h6 & 0xFF
        self._osrs_h = 0

    def written(self, address: int, value: int) -> None:
        """Let ctrl_hum take effect with a write of ctrl_meas (section 5.4.3)."""
        if address == 0xF4:
            self._osrs_h = self.memory[0xF2] & 7
        super().written(address, value)

    def _oversampling(self) -> tuple[int, ...]:
        return (*super()._oversampling(), (0, 1, 2, 4, 8, 16, 16, 16)[self._osrs_h])

    def _measure(self) -> None:
        super()._measure()
        percent = self.feel("humidity", 0.02)
        adc = self._adc_humidity(min(max(percent, 0.0), 100.0), self._fine) if self._osrs_h else 0x8000
        self.memory[0xFD:0xFF] = clamp(adc, 0, 0xFFFF).to_bytes(2, "big")

    def _adc_humidity(self, percent: float, fine: float) -> int:
        h1, h2, h3, h4, h5, h6 = self.trim_h
        x = fine - 76800.0
        # section 8.1: percent = v * (1 - h1 * v / 524288), a quadratic in v
        v = 2 * percent / (1.0 + sqrt(max(1.0 - 4.0 * h1 * percent / 524288.0, 0.0)))
        gain = h2 / 65536.0 * (1.0 + h6 / 67108864.0 * x * (1.0 + h3 / 67108864.0 * x))
        return round(v / gain + h4 * 64.0 + h5 / 16384.0 * x) if gain else 0
