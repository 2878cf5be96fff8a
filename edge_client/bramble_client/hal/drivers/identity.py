"""What a chip says that it is, in a register of its own, and which chips have another thing to say in the same place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.errors import WrongChip
from bramble_client.hal.registers import Device, Field, Register

if TYPE_CHECKING:
    from bramble_client.hal.drivers.base import Driver


@dataclass(frozen=True)
class Identity:
    """The register with a chip's id.

    Parameters
    ----------
    register
        Where it is.
    chips
        The ids that the driver reads, with the names of their chips, the usual one first.
    relatives
        Ids of other chips that may sit at the same address: their names, and what to do, such as ``BME280; write driver = "bme280"``.
    part
        The bits of the register that are the id, where they are not all.
    neighbours
        Chips that may sit at the same address and keep their id elsewhere, or none.
    maker
        The register with the maker's id, and what it holds, where a chip tells that too.
    """

    register: Register
    chips: Mapping[int, str]
    relatives: Mapping[int, str] = field(default_factory=dict)
    part: Field | None = None
    neighbours: str = ""
    maker: tuple[Register, int] | None = None

    def read(self, bus: I2CBus, address: int) -> int:
        """Return the id of the chip at an address."""
        raw = Device(bus, address).read(self.register)
        return raw if self.part is None else self.part.get(raw)

    def fits(self, bus: I2CBus, address: int) -> bool:
        """Say whether the chip at an address is one that the driver reads."""
        if self.read(bus, address) not in self.chips:
            return False
        return self.maker is None or Device(bus, address).read(self.maker[0]) == self.maker[1]

    def relative(self, bus: I2CBus, address: int) -> str | None:
        """Return what is known of a chip at an address that the driver does not read, or None if its id is nobody's."""
        return self.relatives.get(self.read(bus, address))

    def prove(self, driver: Driver) -> int:
        """Return the id of a driver's chip.

        Raises
        ------
        WrongChip
            If it is none that the driver reads; the text names the chip, where its id is known.
        """
        found = self.read(driver.bus, driver.address)
        if found in self.chips:
            self._prove_maker(driver)
            return found
        digits = 2 + (self.register.size * 2 if self.part is None else -(-self.part.width // 4))
        wanted = f"{driver} has id {found:#0{digits}x}, not {next(iter(self.chips)):#0{digits}x}"
        if found in self.relatives:
            raise WrongChip(f"{wanted}: that is the {self.relatives[found]}")
        others = f"{self.neighbours} may sit at the same address: " if self.neighbours else ""
        raise WrongChip(f"{wanted}; {others}run `bramble sensors scan` to see what sits there")

    def _prove_maker(self, driver: Driver) -> None:
        if self.maker is None:
            return
        register, wanted = self.maker
        if (found := Device(driver.bus, driver.address).read(register)) != wanted:
            remedy = "run `bramble sensors scan` to see what sits there"
            raise WrongChip(f"{driver} has maker {found:#06x}, not {wanted:#06x}; {remedy}")
