"""Texas Instruments INA226 at register level, from data sheet SBOS547B."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bramble_client.hal.sim.chips.word_registers import WordChip, clamp, unsigned

CONVERSION_S = (140e-6, 204e-6, 332e-6, 588e-6, 1.1e-3, 2.116e-3, 4.156e-3, 8.244e-3)  # section 5.5, typical
AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)  # section 7.1.1
SHUNT_OHMS = 0.1


class INA226(WordChip):
    """The chip in its triggered and continuous modes, with averages and the power engine; without the alert pin."""

    name = "ina226"
    resets: ClassVar[Mapping[int, int]] = {0: 0x4127, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, 0xFE: 0x5449, 0xFF: 0x2260}
    writable: ClassVar[Mapping[int, int]] = {0: 0x0FFF, 5: 0x7FFF, 6: 0xFC03, 7: 0xFFFF}
    identity = 0xFF

    def power_on(self) -> None:
        """Reset, and begin to measure continuously."""
        super().power_on()
        self._begin()

    def write(self, data: bytes) -> None:
        """Take a register, once the conversions that ended before are shown."""
        self.refresh()
        super().write(data)

    def written(self, address: int, value: int) -> None:
        """Reset, or begin to measure, which clears the ready flag (section 7.1.7)."""
        if address != 0:
            return
        if value & 0x8000:
            self.power_on()
            return
        self._begin()
        if self._done_at is not None:
            self.words[6] &= ~0x0008

    def _begin(self) -> None:
        self._done_at = self.clock.monotonic() + self._period() if self.words[0] & 3 else None

    def _period(self) -> float:
        """Return the time of one conversion, averages included, by what the mode measures."""
        config = self.words[0]
        bus = CONVERSION_S[config >> 6 & 7] if config & 2 else 0.0
        shunt = CONVERSION_S[config >> 3 & 7] if config & 1 else 0.0
        return AVERAGES[config >> 9 & 7] * (bus + shunt)

    def refresh(self) -> None:
        """Show the conversions that ended by now, and what follows from them."""
        now = self.clock.monotonic()
        if self._done_at is None or now < self._done_at:
            return
        period = self._period()
        again = self.words[0] & 4 and period > 0  # a mode that flipped by itself may measure nothing
        self._done_at = self._done_at + ((now - self._done_at) // period + 1) * period if again else None
        if not self.frozen:
            self._measure()
        self.words[6] |= 0x0008

    def _measure(self) -> None:
        config = self.words[0]
        if config & 1:
            ohms = self.board.get("shunt_ohms", SHUNT_OHMS)
            self.words[1] = unsigned(clamp(self.feel("current", 2.5e-6) * ohms / 2.5e-6, -0x8000, 0x7FFF))
        if config & 2:
            self.words[2] = clamp(self.feel("voltage", 0.0004) / 1.25e-3, 0, 0x7FFF)
        shunt = self.words[1] - 0x10000 if self.words[1] & 0x8000 else self.words[1]
        current = int(shunt * self.words[5] / 2048)  # section 6.5, equation 3
        power = int(abs(current) * self.words[2] / 20_000)  # equation 4
        overflow = abs(current) > 0x7FFF or power > 0xFFFF
        self.words[4] = unsigned(min(max(current, -0x8000), 0x7FFF))
        self.words[3] = min(power, 0xFFFF)
        self.words[6] = self.words[6] & ~0x0004 | overflow << 2

    def fetched(self, address: int) -> None:
        """Clear the conversion-ready flag: reading its register does."""
        if address == 6:
            self.words[6] &= ~0x0008
