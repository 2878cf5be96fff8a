"""What chips with 16-bit registers behind a pointer share: most of Texas Instruments'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bramble_client.hal.sim.chips.base import Chip


class WordChip(Chip):
    """Registers of 16 bits, high byte first. The pointer stays where it was set: it does not move by itself."""

    resets: ClassVar[Mapping[int, int]] = {}
    """Registers that exist, and their values after power-on."""
    writable: ClassVar[Mapping[int, int]] = {}
    """Which bits of which register can be written."""
    pointer_mask: ClassVar[int] = 0xFF
    """Bits of the pointer that the chip looks at."""
    identity: ClassVar[int | None] = None
    """The register that an impostor answers differently."""

    def power_on(self) -> None:
        """Set every register to its reset value."""
        self.words = dict(self.resets)
        self.pointer = 0

    def write(self, data: bytes) -> None:
        """Set the pointer, then write the register, if both of its bytes come."""
        if not data:
            return
        self.pointer = data[0] & self.pointer_mask
        if len(data) >= 3 and self.pointer in self.writable:
            mask = self.writable[self.pointer]
            value = data[1] << 8 | data[2]
            self.words[self.pointer] = self.words[self.pointer] & ~mask | value & mask
            self.written(self.pointer, value)

    def written(self, address: int, value: int) -> None:
        """React to a written register."""

    def read(self, length: int) -> bytes:
        """Read the register, over and over if more is asked for."""
        self.refresh()
        value = self.words.get(self.pointer, 0xFFFF)
        if self.impostor and self.pointer == self.identity:
            value ^= 0x0A5A
        self.fetched(self.pointer)
        return (value.to_bytes(2, "big") * (length // 2 + 1))[:length]

    def refresh(self) -> None:
        """Bring the registers up to the present: conversions that have ended, flags."""

    def fetched(self, address: int) -> None:
        """React to a register that was read, for flags that reading clears."""


def clamp(value: float, low: int, high: int) -> int:
    """Round to a number that a register can hold; what lies beyond shows as its limit."""
    return round(min(max(value, low), high))


def unsigned(value: int) -> int:
    """Return the 16 bits of a signed number."""
    return value & 0xFFFF
