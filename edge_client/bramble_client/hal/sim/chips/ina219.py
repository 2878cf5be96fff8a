"""Texas Instruments INA219 at register level, from data sheet SBOS448G."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bramble_client.hal.sim.chips.word_registers import WordChip, clamp, unsigned

CONVERSION_S = 0.000532  # section 7.5, 12 bits, typical, for each of the two voltages
SHUNT_OHMS = 0.1


class INA219(WordChip):
    """The chip in its triggered and continuous modes at 12 bits, with the power engine."""

    name = "ina219"
    resets: ClassVar[Mapping[int, int]] = {0: 0x399F, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0}
    writable: ClassVar[Mapping[int, int]] = {0: 0x7FFF, 5: 0xFFFE}
    pointer_mask = 0x07

    def power_on(self) -> None:
        """Reset, and begin to measure continuously."""
        super().power_on()
        self._done_at: float | None = self.clock.monotonic() + 2 * CONVERSION_S

    def written(self, address: int, value: int) -> None:
        """Reset, or begin to measure."""
        if address != 0:
            return
        if value & 0x8000:
            self.power_on()
            return
        mode = value & 7
        self._done_at = self.clock.monotonic() + 2 * CONVERSION_S if mode not in (0, 4) else None
        if mode not in (0, 4):
            self.words[2] &= ~0x0002

    def refresh(self) -> None:
        """Show the conversions that ended by now, and what follows from them."""
        now = self.clock.monotonic()
        if self._done_at is None or now < self._done_at:
            return
        period = 2 * CONVERSION_S
        self._done_at = self._done_at + ((now - self._done_at) // period + 1) * period if self.words[0] & 4 else None
        if not self.frozen:
            self._measure()
        self.words[2] |= 0x0002

    def _measure(self) -> None:
        config = self.words[0]
        gain = 1 << (config >> 11 & 3)
        shunt = clamp(self.feel("current") * self.board.get("shunt_ohms", SHUNT_OHMS) / 1e-5, -4000 * gain, 4000 * gain)
        bus = clamp(self.feel("voltage", 0.001) / 0.004, 0, 8000 if config & 0x2000 else 4000)
        current = int(shunt * self.words[5] / 4096)  # section 8.6.3.4
        power = int(abs(current) * bus / 5000)  # section 8.6.3.3
        overflow = abs(current) > 0x7FFF or power > 0xFFFF  # section 8.6.3.2: the results may be without meaning
        self.words[1] = unsigned(shunt)
        self.words[2] = bus << 3 | overflow
        self.words[3] = min(power, 0xFFFF)
        self.words[4] = unsigned(clamp(current, -0x8000, 0x7FFF))

    def fetched(self, address: int) -> None:
        """Clear the conversion-ready flag: reading the power register does."""
        if address == 3:
            self.words[2] &= ~0x0002
