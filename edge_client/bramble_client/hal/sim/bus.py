"""The simulated bus: the same checks, retries and errors as the real one, with chips behind it instead of a kernel."""

from __future__ import annotations

from typing import Protocol

from bramble_client.hal.bus import BaseBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.sim.chips.base import Chip, nack


class Interference(Protocol):
    """What may go wrong with a transfer; see ``faults``."""

    def transfer(self, address: int, chip: Chip | None, write: bytes, read: int) -> bytes:
        """Carry the transfer out, or fail as the kernel does."""


def carry(chip: Chip | None, write: bytes, read: int) -> bytes:
    """Carry out one transaction with a chip, if there is one."""
    if chip is None:
        raise nack()
    if write or not read:
        chip.write(write)
    return chip.read(read) if read else b""


class SimulatedBus(BaseBus):
    """An I2C bus in memory, with at most one chip at each address."""

    def __init__(self, clock: Clock, name: str = "the simulated bus", seed: int = 0) -> None:
        super().__init__(name, clock, seed)
        self.chips: dict[int, Chip] = {}
        self.faults: Interference | None = None

    def attach(self, address: int, chip: Chip) -> None:
        """Connect a chip.

        Raises
        ------
        ValueError
            If the address is taken: two chips at one address answer at once, and neither can be understood.
        """
        if address in self.chips:
            raise ValueError(f"{self.name} has a {self.chips[address].name} at {address:#04x} already")
        self.chips[address] = chip

    def detach(self, address: int) -> Chip:
        """Disconnect a chip and return it."""
        return self.chips.pop(address)

    def _attempt(self, address: int, write: bytes, read: int, once: bool = False) -> bytes:
        chip = self.chips.get(address)
        if self.faults is not None:
            return self.faults.transfer(address, chip, write, read)
        return carry(chip, write, read)
