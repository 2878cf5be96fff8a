"""Texas Instruments TMP117 at register level, from data sheet SNOSD82D."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bramble_client.hal.sim.chips.word_registers import WordChip, clamp, unsigned

CONVERSION_S = 0.0155  # section 6.5, typical
AVERAGES = (1, 8, 32, 64)  # section 7.3.2
CYCLE_S = (0.0155, 0.125, 0.25, 0.5, 1.0, 4.0, 8.0, 16.0)  # table 7-7


class TMP117(WordChip):
    """The chip with its continuous, shutdown and one-shot modes, averaging, the data-ready flag and soft reset."""

    name = "tmp117"
    resets: ClassVar[Mapping[int, int]] = {0: 0x8000, 1: 0x0220, 2: 0x6000, 3: 0x8000, 4: 0, 5: 0, 6: 0, 7: 0, 8: 0, 0x0F: 0x0117}
    writable: ClassVar[Mapping[int, int]] = {1: 0x0FFE, 2: 0xFFFF, 3: 0xFFFF, 4: 0x8000, 7: 0xFFFF}
    identity = 0x0F

    def power_on(self) -> None:
        """Load the defaults and begin to measure continuously (section 7.3.1)."""
        super().power_on()
        self._done_at: float | None = None
        self._begin()

    def written(self, address: int, value: int) -> None:
        """Reset, or begin to measure anew."""
        if address == 1:
            if value & 0x0002:
                self.power_on()
            else:
                self._begin()

    def refresh(self) -> None:
        """Show the conversion that ended by now."""
        now = self.clock.monotonic()
        if self._done_at is None or now < self._done_at:
            return
        mode = self.words[1] >> 10 & 3
        if not self.frozen:
            noise = 0.012 / AVERAGES[self.words[1] >> 5 & 3] ** 0.5  # section 8.2.2.1
            self.words[0] = unsigned(clamp(self.feel("temperature", noise) * 128, -0x8000, 0x7FFF))
        self.words[1] |= 0x2000
        if mode == 3:  # section 7.4.3: after a one-shot conversion the chip shuts down
            self.words[1] = self.words[1] & ~0x0C00 | 0x0400
            self._done_at = None
        else:
            period = max(CYCLE_S[self.words[1] >> 7 & 7], self._conversion())
            self._done_at += ((now - self._done_at) // period + 1) * period

    def fetched(self, address: int) -> None:
        """Clear the data-ready flag: reading the configuration or the temperature does."""
        if address in (0, 1):
            self.words[1] &= ~0x2000

    def _conversion(self) -> float:
        return CONVERSION_S * AVERAGES[self.words[1] >> 5 & 3]

    def _begin(self) -> None:
        shut_down = self.words[1] >> 10 & 3 == 1
        self._done_at = None if shut_down else self.clock.monotonic() + self._conversion()
