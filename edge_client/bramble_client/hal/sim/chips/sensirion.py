"""What Sensirion's chips share: commands instead of registers, words with check sums, silence while there is nothing to say."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from bramble_client.hal.sim.chips.base import Chip, nack


def check_sum_of(data: bytes) -> int:
    """Return the CRC-8 of bytes, bit by bit as the data sheets define it: polynomial 0x31, initial value 0xFF."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ 0x131 if crc & 0x80 else crc << 1
    return crc


def check_sum(word: int) -> int:
    """Return the CRC-8 of a word."""
    return check_sum_of(word.to_bytes(2, "big"))


def packed(*words: int) -> bytes:
    """Return words, each followed by its check sum."""
    return b"".join(bytes((word >> 8, word & 0xFF, check_sum(word))) for word in words)


class CommandChip(Chip):
    """A chip that takes commands, and answers a read with what the last one asked for."""

    checked = True
    command_bytes: ClassVar[int] = 2
    busy_nacks: ClassVar[bool] = True
    """Whether the chip refuses commands while it works."""

    def power_on(self) -> None:
        """Forget everything."""
        self.answer: bytes | None = None
        self.ready_at = self.clock.monotonic()

    def write(self, data: bytes) -> None:
        """Take a command, with its parameters."""
        if not data:
            return
        if len(data) < self.command_bytes or (self.busy_nacks and self.clock.monotonic() < self.ready_at):
            raise nack()
        self.answer = None
        self.command(int.from_bytes(data[: self.command_bytes], "big"), data[self.command_bytes :])

    @abstractmethod
    def command(self, code: int, parameters: bytes) -> None:
        """Carry out a command; raise ``nack()`` for one that the chip does not have."""

    def read(self, length: int) -> bytes:
        """Give the answer, once: a chip that works, or has none, does not acknowledge."""
        if self.clock.monotonic() < self.ready_at:
            raise nack()
        self.finish()
        if self.answer is None:
            raise nack()
        data, self.answer = self.answer, None
        if self.impostor:
            data = bytes(byte ^ 0x5A for byte in data)
        return (data + b"\xff" * length)[:length]

    def finish(self) -> None:
        """Turn what was measured into the answer, at the moment when it is there."""
