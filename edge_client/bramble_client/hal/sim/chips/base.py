"""What simulated chips share: their pins, their power, and what they measure."""

from __future__ import annotations

import errno
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from bramble_client.hal.channels import quantity
from bramble_client.hal.clock import Clock
from bramble_client.hal.sim.scene import Scene

Disturb = Callable[[str, float], float]


def nack() -> OSError:
    """Return what the kernel reports when a chip does not acknowledge."""
    return OSError(errno.EREMOTEIO, "Remote I/O error")


class Chip(ABC):
    """A chip at register level, built from its data sheet.

    Parameters
    ----------
    scene
        What the chip measures.
    clock
        Decides when a conversion has ended.
    seed
        Of the chip's own noise and of its calibration.
    """

    name: ClassVar[str]
    checked: ClassVar[bool] = False
    """Whether the chip sends a check sum with its data."""

    def __init__(self, scene: Scene, clock: Clock, seed: int | str = 0) -> None:
        self.scene = scene
        self.clock = clock
        self.random = random.Random(f"{self.name} {seed}")
        self.disturb: Disturb | None = None
        """A fault in what the sensing element feels: drift, spikes."""
        self.frozen = False
        """A fault in the chip: conversions end, but the data registers keep their values."""
        self.impostor = False
        """A fault in the chip: it says that it is another one."""
        self.board: dict[str, Any] = {}
        """What the sensor's options say; most of them are the driver's alone."""
        self.power_on()

    def wire(self, **options: Any) -> None:
        """Take on what the configuration says of the board around the chip, such as its shunt."""
        self.board = options

    @abstractmethod
    def power_on(self) -> None:
        """Take on the state after power-on, whatever was before."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Take bytes from the bus; raise ``nack()`` to refuse them. No bytes: only the address was sent."""

    @abstractmethod
    def read(self, length: int) -> bytes:
        """Give bytes to the bus; raise ``nack()`` to refuse."""

    def feel(self, key: str, noise: float = 0.0) -> float:
        """Return the true value of a quantity, with the chip's own noise (standard deviation) and the faults that are on.

        What cannot be is not felt: a fault that takes humidity to 130 % ends at 100 %.
        """
        value = self.scene.value(key)
        if self.disturb is not None:
            value = self.disturb(key, value)
        value = quantity(key).possible(value)
        return value + self.random.gauss(0.0, noise) if noise else value


class RegisterChip(Chip):
    """A chip with 8-bit registers behind a pointer that moves by itself."""

    resets: ClassVar[Mapping[int, int]] = {}
    """Values after power-on, where they are not 0."""
    writable: ClassVar[Mapping[int, int]] = {}
    """Which bits of which register can be written; all others keep their values."""
    identity: ClassVar[int | None] = None
    """The register that an impostor answers differently."""

    def power_on(self) -> None:
        """Set every register to its reset value."""
        self.memory = bytearray(256)
        for address, value in self.resets.items():
            self.memory[address] = value
        self.pointer = 0

    def write(self, data: bytes) -> None:
        """Set the pointer, then write registers one after the other."""
        if not data:
            return
        self.pointer = data[0]
        for value in data[1:]:
            self.store(self.pointer, value)
            self.pointer = (self.pointer + 1) & 0xFF

    def store(self, address: int, value: int) -> None:
        """Write one register as far as it can be written, then do what that causes."""
        mask = self.writable.get(address, 0)
        if mask:
            self.memory[address] = self.memory[address] & ~mask | value & mask
            self.written(address, value)

    def written(self, address: int, value: int) -> None:
        """React to a written register."""

    def read(self, length: int) -> bytes:
        """Read registers from the pointer on."""
        self.refresh()
        start = self.pointer
        data = bytes(self.memory[start : start + length])
        if len(data) < length:
            data += bytes(length - len(data))
        self.pointer = (start + length) & 0xFF
        if self.impostor and self.identity is not None and start <= self.identity < start + length:
            offset = self.identity - start
            data = data[:offset] + bytes((data[offset] ^ 0x5A,)) + data[offset + 1 :]
        self.fetched(start, length)
        return data

    def refresh(self) -> None:
        """Bring the registers up to the present: conversions that have ended, flags."""

    def fetched(self, start: int, length: int) -> None:
        """React to registers that were read, for flags that reading clears."""
