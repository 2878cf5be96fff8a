"""Microchip MCP9808 at register level, from data sheet DS25095A."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bramble_client.hal.sim.chips.word_registers import WordChip, clamp, unsigned

CONVERSION_S = (0.03, 0.065, 0.13, 0.25)  # section 5.2.3, table 5-2, by resolution, typical
RESOLUTION = 8


class MCP9808(WordChip):
    """The chip with its four resolutions and shut-down; without the alert pin and its locks."""

    name = "mcp9808"
    resets: ClassVar[Mapping[int, int]] = {1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0x0054, 7: 0x0400, RESOLUTION: 3}
    writable: ClassVar[Mapping[int, int]] = {1: 0x07CF, 2: 0x1FFC, 3: 0x1FFC, 4: 0x1FFC}
    pointer_mask = 0x0F
    identity = 7

    def power_on(self) -> None:
        """Reset, and begin to measure: until the first conversion has ended, the register says 0 °C (section 5.1.3)."""
        super().power_on()
        self._done_at: float | None = self.clock.monotonic() + CONVERSION_S[3]

    def write(self, data: bytes) -> None:
        """Take a register, once the conversions that ended before are shown; that of the resolution has one byte."""
        self.refresh()
        super().write(data)
        if len(data) >= 2 and self.pointer == RESOLUTION:
            self.words[RESOLUTION] = data[1] & 3

    def written(self, address: int, value: int) -> None:
        """Shut down, or begin to measure again."""
        if address == 1:
            if value & 0x0100:
                self._done_at = None
            elif self._done_at is None:
                self._done_at = self.clock.monotonic() + CONVERSION_S[self._resolution()]

    def read(self, length: int) -> bytes:
        """Read a register, over and over if more is asked for."""
        if self.pointer == RESOLUTION:
            return bytes((self._resolution(),)) * length
        return super().read(length)

    def refresh(self) -> None:
        """Show the conversion that ended by now."""
        now = self.clock.monotonic()
        if self._done_at is None or now < self._done_at:
            return
        period = CONVERSION_S[self._resolution()]
        self._done_at += ((now - self._done_at) // period + 1) * period
        if not self.frozen:
            self._measure()

    def _measure(self) -> None:
        step = 8 >> self._resolution()  # in 1/16 °C
        raw = clamp(self.feel("temperature", 0.02) * 16 / step, -4096 // step, 4095 // step) * step
        upper, lower, critical = (self._limit(register) for register in (2, 3, 4))
        flags = (raw >= critical) << 15 | (raw > upper) << 14 | (raw < lower) << 13  # section 5.1.3.1
        self.words[5] = flags | unsigned(raw) & 0x1FFF

    def _resolution(self) -> int:
        return self.words[RESOLUTION] & 3

    def _limit(self, register: int) -> int:
        value = self.words[register] & 0x1FFF
        return value - 0x2000 if value & 0x1000 else value
