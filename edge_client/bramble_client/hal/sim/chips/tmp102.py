"""Texas Instruments TMP102 and TMP105, and the LM75, at register level, from their data sheets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bramble_client.hal.sim.chips.word_registers import WordChip, clamp, unsigned


class LM75(WordChip):
    """The chip with one byte of configuration, which measures all the time: 9 bits, left-justified."""

    name = "lm75"
    # Section 1.14: the limits are 75 °C and 80 °C
    resets: ClassVar[Mapping[int, int]] = {0: 0, 1: 0, 2: 0x4B00, 3: 0x5000}
    writable: ClassVar[Mapping[int, int]] = {2: 0xFF80, 3: 0xFF80}
    pointer_mask = 0x03
    configurable: ClassVar[int] = 0x1F
    typical_s: ClassVar[float] = 0.1

    def power_on(self) -> None:
        """Reset, and begin to measure."""
        super().power_on()
        self._done_at = self.clock.monotonic() + self.typical_s

    def write(self, data: bytes) -> None:
        """Take the configuration, which is one byte, or anything else as two."""
        super().write(data)
        if len(data) >= 2 and data[0] & 3 == 1:
            self.words[1] = self.words[1] & ~self.configurable | data[1] & self.configurable

    def read(self, length: int) -> bytes:
        """Read the configuration as one byte, anything else as two."""
        if self.pointer != 1:
            return super().read(length)
        self.refresh()
        return bytes((self.words[1] & 0xFF,)) * length

    def refresh(self) -> None:
        """Show the latest conversion, unless the chip is shut down."""
        now = self.clock.monotonic()
        if now < self._done_at or self.words[1] & 1:
            return
        if not self.frozen:
            self._measure(self._bits())
        self._done_at += ((now - self._done_at) // self.typical_s + 1) * self.typical_s

    def _bits(self) -> int:
        return 9

    def _measure(self, bits: int) -> None:
        step = 1 / (1 << (bits - 8))
        raw = clamp(self.feel("temperature", 0.02) / step, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)
        self.words[0] = unsigned(raw << (16 - bits))


class TMP105(LM75):
    """An LM75 with up to 12 bits."""

    name = "tmp105"
    writable: ClassVar[Mapping[int, int]] = {2: 0xFFF0, 3: 0xFFF0}
    configurable = 0x7F
    typical_s = 0.22

    def _bits(self) -> int:
        return 9 + (self.words[1] >> 5 & 3)


class TMP102(WordChip):
    """The chip with two bytes of configuration: 12 bits, continuous or one conversion at a time."""

    name = "tmp102"
    resets: ClassVar[Mapping[int, int]] = {0: 0, 1: 0x60A0, 2: 0x4B00, 3: 0x5000}
    writable: ClassVar[Mapping[int, int]] = {1: 0x9FD0, 2: 0xFFF0, 3: 0xFFF0}
    pointer_mask = 0x03
    typical_s = 0.026

    def power_on(self) -> None:
        """Reset, and begin to measure four times a second."""
        super().power_on()
        self._done_at: float | None = self.clock.monotonic() + self.typical_s

    def written(self, address: int, value: int) -> None:
        """Begin a conversion, or shut down."""
        if address == 1:
            one_shot, shut_down = value & 0x8000, value & 0x0100
            self._done_at = self.clock.monotonic() + self.typical_s if one_shot or not shut_down else None
            self.words[1] &= ~0x8000

    def refresh(self) -> None:
        """Show the conversion that ended by now."""
        now = self.clock.monotonic()
        if self._done_at is not None and now >= self._done_at:
            if not self.frozen:
                extended = self.words[1] >> 4 & 1
                limit = 0x0FFF if extended else 0x07FF
                raw = clamp(self.feel("temperature", 0.02) * 16, -limit - 1, limit)
                self.words[0] = unsigned(raw << (3 if extended else 4)) | extended
            shut_down = self.words[1] & 0x0100
            self._done_at = None if shut_down else now + (4.0, 1.0, 0.25, 0.125)[self.words[1] >> 6 & 3]
        # "One-shot/conversion ready": while shut down, OS reads 0 during a conversion and 1 after it
        ready = self.words[1] & 0x0100 and self._done_at is None
        self.words[1] = self.words[1] | 0x8000 if ready else self.words[1] & ~0x8000
