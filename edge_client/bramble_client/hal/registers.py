"""Registers and their bit fields, declared once and read by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bramble_client.hal.bus import I2CBus


@dataclass(frozen=True, slots=True)
class Field:
    """Some bits of a register.

    Parameters
    ----------
    low
        Number of the lowest bit.
    width
        Number of bits.
    signed
        Whether they are a two's complement number.
    """

    low: int
    width: int = 1
    signed: bool = False

    @property
    def mask(self) -> int:
        """The bits of the field, in place."""
        return ((1 << self.width) - 1) << self.low

    def get(self, raw: int) -> int:
        """Take the field out of a register's value."""
        value = (raw >> self.low) & ((1 << self.width) - 1)
        if self.signed and value >> (self.width - 1):
            value -= 1 << self.width
        return value

    def put(self, raw: int, value: int) -> int:
        """Return a register's value with the field replaced.

        Raises
        ------
        ValueError
            If the value does not fit the field.
        """
        low, high = (-(1 << (self.width - 1)), (1 << (self.width - 1)) - 1) if self.signed else (0, (1 << self.width) - 1)
        if not low <= value <= high:
            raise ValueError(f"{value} does not fit a field of {self.width} bits, from {low} to {high}")
        return raw & ~self.mask | (value << self.low & self.mask)


@dataclass(frozen=True, slots=True)
class Register:
    """One register: where it is, how many bytes it has, and how they make a number."""

    address: int
    size: int = 1
    signed: bool = False
    order: Literal["big", "little"] = "big"

    def decode(self, data: bytes) -> int:
        """Turn the register's bytes into its number."""
        return int.from_bytes(data, self.order, signed=self.signed)

    def encode(self, value: int) -> bytes:
        """Turn a number into the register's bytes.

        Raises
        ------
        OverflowError
            If it does not fit.
        """
        return value.to_bytes(self.size, self.order, signed=self.signed)

    def within(self, block: bytes, start: int) -> int:
        """Read the register out of a block that was read from register ``start`` on, one address a byte."""
        offset = self.address - start
        return int.from_bytes(block[offset : offset + self.size], self.order, signed=self.signed)


class Device:
    """A chip with registers behind an 8-bit pointer, at one address of one bus."""

    __slots__ = ("address", "bus")

    def __init__(self, bus: I2CBus, address: int) -> None:
        self.bus = bus
        self.address = address

    def read(self, register: Register) -> int:
        """Read one register."""
        return register.decode(self.bus.transfer(self.address, bytes((register.address,)), register.size))

    def write(self, register: Register, value: int) -> None:
        """Write one register."""
        self.bus.transfer(self.address, bytes((register.address,)) + register.encode(value))

    def block(self, start: int, length: int) -> bytes:
        """Read a run of bytes from a register on; the chip moves its pointer by itself."""
        return self.bus.transfer(self.address, bytes((start,)), length)

    def take(self, start: int, length: int) -> bytes:
        """Read bytes that the chip gives only once, out of a queue."""
        return self.bus.transfer(self.address, bytes((start,)), length, once=True)
