"""Rohm BH1750FVI: illuminance.

Source: Rohm technical note BH1750FVI, 2009.04 rev. B. The chip has neither registers nor an identity.
"""

from __future__ import annotations

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import Driver, Measurement, steady, within
from bramble_client.hal.drivers.options import Option
from bramble_client.hal.errors import UnsteadyRead

# "Instruction set architecture"
POWER_ON, RESET, ONE_TIME = b"\x01", b"\x07", b"\x20"  # one time, H-resolution mode; the chip powers itself down afterwards
CONVERSION_S = 0.18  # "electrical characteristics", H-resolution mode, maximum
USUAL_TIME = 69  # the measurement time that the chip starts with
TIMES = {54_000: USUAL_TIME, 120_000: 31}  # the shortest time sees the furthest: "adjust measurement result"
LIMITS = -1, 0xFFFF  # 0 is darkness, not a limit
LUX = 1 / 1.2  # "read format": lux of a count with the usual measurement time


class BH1750(Driver):
    """Two or three conversions a call, which must agree: nothing else in this chip tells a true value from a damaged one."""

    name = "bh1750"
    chip = "BH1750"
    addresses = (0x23, 0x5C)
    channels = ("illuminance",)
    certain = False
    fastest = 1.0
    options = (Option("range", "in lux: the wider one reaches into full sun, in steps of 1.9 lx instead of 0.8", 54_000, int, (*TIMES,)),)

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None, range: int = 54_000) -> None:
        super().__init__(bus, address, clock)
        time = TIMES[range]
        # "Instruction set architecture": the time's upper three bits, then its lower five
        self._order = (bytes((0x40 | time >> 5,)), bytes((0x60 | time & 0x1F,)), ONE_TIME)
        self._lux = LUX * USUAL_TIME / time

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip gives the two bytes that this one does; no more can be asked of it."""
        return bus.transfer(address, b"", 2) is not None

    def setup(self) -> None:
        """Clear the data register, so that no value from before is taken for a new one."""
        self.bus.transfer(self.address, POWER_ON)
        self.bus.transfer(self.address, RESET)  # accepted only with power on

    def read(self) -> Measurement:
        """Measure until two conversions in a row agree.

        Raises
        ------
        UnsteadyRead
            If the bytes were damaged on the way, or no two conversions agree.
        """
        last = self._convert()
        for _ in range(3):
            count = self._convert()
            difference = abs(count - last)
            if difference > 4 + 0.1 * max(count, last):  # as much as light may change meanwhile and still be called one value
                last = count
                continue
            if difference > 1 + 0.005 * max(count, last):
                # Light moves like this, and so does a value measured by a slightly damaged order: the middle of three is true
                count = sorted((last, count, self._convert()))[1]
            return Measurement(self.clock.monotonic() - CONVERSION_S / 2, {"illuminance": within(count, *LIMITS, count * self._lux)})
        raise UnsteadyRead(f"{self}: no two measurements agree; the light flickers, or the wires are too long")

    def _convert(self) -> int:
        # Any damaged instruction may have changed the measurement time, which cannot be read back
        for instruction in self._order:
            self.bus.transfer(self.address, instruction)
        self.clock.sleep(CONVERSION_S)
        return int.from_bytes(steady(lambda: self.bus.transfer(self.address, b"", 2), self), "big")
