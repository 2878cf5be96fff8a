"""Analog Devices ADXL345 at register level, from data sheet ADXL345, revision E."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from typing import ClassVar

from bramble_client.hal.sim.chips.queue import PacedChip
from bramble_client.hal.sim.chips.word_registers import clamp

STANDARD_GRAVITY = 9.80665
LEVELS = 32


class ADXL345(PacedChip):
    """The chip with its ranges, rates, standby, and a queue of 32 conversions in bypass and stream mode."""

    name = "adxl345"
    resets: ClassVar[Mapping[int, int]] = {0x00: 0xE5, 0x2C: 0x0A, 0x30: 0x02}
    writable: ClassVar[Mapping[int, int]] = {
        **dict.fromkeys(range(0x1D, 0x2A), 0xFF),
        **dict.fromkeys(range(0x2C, 0x30), 0xFF),
        0x31: 0xEF,
        0x38: 0xFF,
    }
    identity = 0x00

    def power_on(self) -> None:
        """Reset, and stand by."""
        super().power_on()
        self.depth = 1
        self.queue: deque[bytes] = deque(maxlen=LEVELS)

    def written(self, address: int, value: int) -> None:
        """Start, stop, set the rate, empty the queue."""
        if address in (0x2D, 0x2C):
            hertz = 3200 / (1 << (15 - (self.memory[0x2C] & 0x0F)))  # table 7
            self.run(hertz if self.memory[0x2D] & 0x08 else None)
        elif address == 0x38:
            self.depth = LEVELS + 1 if value >> 6 == 2 else 1
            if value >> 6 == 0:
                self.queue.clear()
                self.memory[0x30] &= ~0x01

    def convert(self, at: float) -> None:
        """Measure into the data registers, or into the queue ("FIFO")."""
        now, previous = self.clock.monotonic(), bytes(self.memory[0x32:0x38])
        data = previous if self.frozen else self._measure(at - now)
        if self.memory[0x38] >> 6 == 2:
            if len(self.queue) == LEVELS:
                self.memory[0x30] |= 0x01
            self.queue.append(data)
            self.memory[0x32:0x38] = self.queue[0]
        else:
            self.memory[0x32:0x38] = data

    def converted(self, count: int) -> None:
        """Set the data-ready flag."""
        self.memory[0x30] |= 0x80

    def read(self, length: int) -> bytes:
        """Read registers; the fill level is the queue's."""
        self.refresh()
        self.memory[0x39] = len(self.queue)
        return super().read(length)

    def fetched(self, start: int, length: int) -> None:
        """Take one conversion out of the queue when the data were read, and clear the flags that go with them."""
        if start < 0x38 and start + length > 0x32:
            if self.queue:
                self.queue.popleft()
                if self.queue:
                    self.memory[0x32:0x38] = self.queue[0]
            self.memory[0x30] &= ~0x01
            if not self.queue:
                self.memory[0x30] &= ~0x80

    def _measure(self, shift: float) -> bytes:
        full, bits = self.memory[0x31] & 0x08, self.memory[0x31] & 0x03
        steps = 256 if full else 256 >> bits  # table 1
        limit = (512 << bits if full else 512) - 1
        with self.scene.shifted(shift):
            raw = [clamp(self.feel(f"acceleration_{axis}", 0.04) / STANDARD_GRAVITY * steps, -limit - 1, limit) for axis in "xyz"]
        return struct.pack("<3h", *raw)
