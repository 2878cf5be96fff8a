"""InvenSense MPU-6050 at register level, from register map RM-MPU-6000A-00, revision 4.2."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import ClassVar

from bramble_client.hal.sim.chips.queue import PacedChip
from bramble_client.hal.sim.chips.word_registers import clamp

STANDARD_GRAVITY = 9.80665
QUEUE_PARTS = ((0x08, slice(0, 6)), (0x80, slice(6, 8)), (0x40, slice(8, 10)), (0x20, slice(10, 12)), (0x10, slice(12, 14)))
"""Which FIFO_EN bit puts which of the 14 measurement bytes into the queue (section 4.6)."""


class MPU6050(PacedChip):
    """The chip with its sample-rate divider, ranges, sleep, and the queue of 1024 bytes."""

    name = "mpu6050"
    resets: ClassVar[Mapping[int, int]] = {0x6B: 0x40, 0x75: 0x68}
    writable: ClassVar[Mapping[int, int]] = {
        **dict.fromkeys(range(0x0D, 0x3A), 0xFF),
        **dict.fromkeys(range(0x63, 0x6D), 0xFF),
        0x74: 0xFF,
    }
    identity = 0x75
    queue_bytes: ClassVar[int] = 1024

    def power_on(self) -> None:
        """Reset, and sleep (section 4.28)."""
        super().power_on()
        self.depth = 1
        self.queue = bytearray()

    def written(self, address: int, value: int) -> None:
        """Reset, wake up, set the rate, empty the queue."""
        if address == 0x6B and value & 0x80:
            self.power_on()
        elif address in (0x6B, 0x19, 0x1A):
            asleep = self.memory[0x6B] & 0x40
            base = 8000 if self.memory[0x1A] & 7 in (0, 7) else 1000  # section 4.2
            self.run(None if asleep else base / (1 + self.memory[0x19]))
        elif address == 0x6A:
            if value & 0x04:
                self.queue.clear()
                self.memory[0x6A] &= ~0x04
            self.depth = self.queue_bytes // 12 + 1 if value & 0x40 else 1

    def convert(self, at: float) -> None:
        """Measure, and put it into the queue (sections 4.17 to 4.19)."""
        if not self.frozen:
            now = self.clock.monotonic()
            g = 16384 >> (self.memory[0x1C] >> 3 & 3)
            dps = 131 / (1 << (self.memory[0x1B] >> 3 & 3))
            with self.scene.shifted(at - now):
                raw = [clamp(self.feel(f"acceleration_{axis}", 0.03) / STANDARD_GRAVITY * g, -32768, 32767) for axis in "xyz"]
                raw.append(clamp((self._temperature() - 36.53) * 340, -32768, 32767))
                raw += [clamp(self.feel(f"rotation_{axis}", 0.05) * dps, -32768, 32767) for axis in "xyz"]
            self.memory[0x3B:0x49] = struct.pack(">7h", *raw)
        if self.memory[0x6A] & 0x40:
            frame = self.memory[0x3B:0x49]
            for bit, part in QUEUE_PARTS:
                if self.memory[0x23] & bit:
                    self.queue += frame[part]
            if len(self.queue) > self.queue_bytes:
                del self.queue[: len(self.queue) - self.queue_bytes]
                self.memory[0x3A] |= 0x10

    def converted(self, count: int) -> None:
        """Set the data-ready flag."""
        self.memory[0x3A] |= 0x01

    def read(self, length: int) -> bytes:
        """Read registers, or the queue, at whose register the pointer stays."""
        if self.pointer != 0x74:
            self.refresh()
            self.memory[0x72:0x74] = len(self.queue).to_bytes(2, "big")
            return super().read(length)
        self.refresh()
        data = bytes(self.queue[:length])
        del self.queue[:length]
        return data + bytes(length - len(data))

    def fetched(self, start: int, length: int) -> None:
        """Clear the interrupt flags, as reading them does."""
        if start <= 0x3A < start + length:
            self.memory[0x3A] = 0

    def _temperature(self) -> float:
        return self.feel("temperature") + 10.0  # the die is warmer than the air


class MPU6500(MPU6050):
    """The successor, from register map RM-MPU-6500A-00, revision 2.1: awake after power-on, with half the queue."""

    resets: ClassVar[Mapping[int, int]] = {0x6B: 0x01, 0x75: 0x70}
    queue_bytes = 512

    def power_on(self) -> None:
        """Reset, and measure at 8 kHz / 1 as the register values say."""
        super().power_on()
        self.run(8000)
