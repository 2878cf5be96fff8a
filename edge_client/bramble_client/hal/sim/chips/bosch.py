"""What Bosch's chips share: registers that are written in pairs of register and value."""

from __future__ import annotations

from typing import ClassVar

from bramble_client.hal.sim.chips.base import RegisterChip


class PairChip(RegisterChip):
    """A chip without auto-increment in writes, which it has in reads (BMP280 and BMP390, section 5.2.1; BME680, section 6.2.1)."""

    reset_address: ClassVar[int] = 0xE0

    def write(self, data: bytes) -> None:
        """Set the pointer, then take pairs of register and value; half of one is ignored."""
        self.refresh()
        if data:
            self.pointer = data[0]
        for i in range(0, len(data) - 1, 2):
            self.store(data[i], data[i + 1])

    def written(self, address: int, value: int) -> None:
        """Reset, on the one word that means it (BMP280, section 4.3.2)."""
        if address == self.reset_address:
            self.memory[address] = 0
            if value == 0xB6:
                self.power_on()
