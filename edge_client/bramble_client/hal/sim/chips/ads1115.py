"""Texas Instruments ADS1115 at register level, from data sheet SBAS444D."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bramble_client.hal.sim.chips.word_registers import WordChip, clamp, unsigned

FULL_SCALE = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)  # table 8, PGA
RATE = (8, 16, 32, 64, 128, 250, 475, 860)  # table 8, DR
PAIRS = ((0, 1), (0, 3), (1, 3), (2, 3), (0, None), (1, None), (2, None), (3, None))  # table 8, MUX
DIVIDERS = (0.25, 0.2, 0.1, 0.05)
"""What the board around the chip makes of the world's voltage at each input."""


class ADS1115(WordChip):
    """The chip with its multiplexer, amplifier, single-shot and continuous modes."""

    name = "ads1115"
    resets: ClassVar[Mapping[int, int]] = {0: 0, 1: 0x8583, 2: 0x8000, 3: 0x7FFF}
    writable: ClassVar[Mapping[int, int]] = {1: 0x7FFF, 2: 0xFFFF, 3: 0xFFFF}
    pointer_mask = 0x03

    def power_on(self) -> None:
        """Reset, and sleep."""
        super().power_on()
        self._done_at: float | None = None

    def written(self, address: int, value: int) -> None:
        """Begin a conversion: always in continuous mode, by the OS bit in single-shot mode."""
        if address == 1 and (value & 0x8000 or not value & 0x0100):
            self._done_at = self.clock.monotonic() + self._period()

    def refresh(self) -> None:
        """Show the conversion that ended by now."""
        now = self.clock.monotonic()
        if self._done_at is not None and now >= self._done_at:
            if not self.frozen:
                self._measure()
            self._done_at = (
                None if self.words[1] & 0x0100 else self._done_at + ((now - self._done_at) // self._period() + 1) * self._period()
            )
        self.words[1] = self.words[1] & 0x7FFF if self._done_at is not None else self.words[1] | 0x8000

    def _period(self) -> float:
        return 1.0 / RATE[self.words[1] >> 5 & 7]

    def _measure(self) -> None:
        positive, negative = PAIRS[self.words[1] >> 12 & 7]
        source = self.feel("voltage")
        volts = source * DIVIDERS[positive] - (source * DIVIDERS[negative] if negative is not None else 0.0)
        full_scale = FULL_SCALE[self.words[1] >> 9 & 7]
        self.words[0] = unsigned(clamp(volts / full_scale * 32768, -0x8000, 0x7FFF))
