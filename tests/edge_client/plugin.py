"""A third party's package with a sensor and a channel of its own, as pip would install it."""

from __future__ import annotations

import sys
from pathlib import Path

MODULE = """
from bramble_client.hal.channels import Quantity
from bramble_client.hal.drivers.base import Driver, Measurement
from bramble_client.hal.registers import Device, Register
from bramble_client.hal.sim.chips.base import RegisterChip

RADON = Quantity("radon", "Bq/m³", None, 0, 10_000)
VALUE = Register(0x02, 2)


class Radon(Driver):
    name, chip, addresses, channels = "radon1", "RADON-1", (0x19,), ("radon",)
    quantities = (RADON,)

    @classmethod
    def identify(cls, bus, address):
        return Device(bus, address).read(Register(0)) == 0xAC

    def setup(self):
        self._chip = Device(self.bus, self.address)

    def read(self):
        return Measurement(self.clock.monotonic(), {"radon": float(self._chip.read(VALUE))})


class Chip(RegisterChip):
    name = "radon1"
    resets = {0x00: 0xAC}
    writable = {}
    identity = 0x00

    def refresh(self):
        self.memory[0x02:0x04] = round(self.feel("radon")).to_bytes(2, "big")
"""


def install(folder: Path, module: str = MODULE, package: str = "radon-plugin", **groups: str) -> Path:
    """Put the package into a folder, registered as told (``sensors="radon1 = radon_plugin:Radon"``), and return the folder."""
    groups = groups or {"sensors": "radon1 = radon_plugin:Radon", "chips": "radon1 = radon_plugin:Chip"}
    sys.modules.pop("radon_plugin", None)  # another test's
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "radon_plugin.py").write_text(module, "utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("".join(f"[bramble.{group}]\n{line}\n" for group, line in groups.items()))
    return folder
