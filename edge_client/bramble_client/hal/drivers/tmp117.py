"""Texas Instruments TMP117: temperature, to 0.1 °C. The smallest driver: read this one first.

Source: data sheet SNOSD82D.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import Driver, Measurement, steady, within
from bramble_client.hal.drivers.identity import Identity
from bramble_client.hal.errors import NotReady, SettingsLost
from bramble_client.hal.registers import Device, Field, Register

# Section 7.6, register map
TEMPERATURE = Register(0x00, 2, signed=True)
CONFIGURATION = Register(0x01, 2)
DEVICE_ID = Register(0x0F, 2)

DID = Field(0, 12)  # the four bits above are the revision
DATA_READY, MOD, AVG, SOFT_RESET = Field(13), Field(10, 2), Field(5, 2), Field(1)

ONE_SHOT, SHUTDOWN = 3, 1
EIGHT = 1  # conversions in an average: section 7.3.2, for a noise of one step
CELSIUS = 0.0078125  # a step, section 7.3.3
LIMITS = -0x8000, 0x7FFF  # the lower one is also what the register holds until a conversion has ended
RESET_S = 0.002  # section 6.6
CONVERSION_S = 0.14  # section 6.5: 8 conversions of at most 17.5 ms


class TMP117(Driver):
    """One measurement a call; the chip sleeps in between (section 7.4.3, one-shot mode)."""

    name = "tmp117"
    chip = "TMP117"
    addresses: ClassVar[tuple[int, ...]] = (0x48, 0x49, 0x4A, 0x4B)
    channels: ClassVar[tuple[str, ...]] = ("temperature",)
    fastest = 0.2
    frozen_after = 50
    ranges: Mapping[str, tuple[float, float]] = {"temperature": (-55, 150)}  # section 6.3
    identity = Identity(DEVICE_ID, {0x117: "TMP117"}, {0x116: "TMP116, which no driver here reads"}, DID)

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None) -> None:
        super().__init__(bus, address, clock)
        self._chip = Device(bus, self.address)
        self._order = AVG.put(MOD.put(0, ONE_SHOT), EIGHT)

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip has a TMP117's id."""
        return cls.identity.fits(bus, address)

    def setup(self) -> None:
        """Check the id and reset the chip."""
        self.identity.prove(self)
        self._chip.write(CONFIGURATION, SOFT_RESET.put(0, 1))
        self.clock.sleep(RESET_S)

    def read(self) -> Measurement:
        """Measure once.

        Raises
        ------
        SettingsLost
            If the chip was without power since it was told to measure.
        NotReady
            If the conversion takes longer than the data sheet allows.
        UnsteadyRead
            If the bytes were damaged on the way.
        """
        self._chip.write(CONFIGURATION, self._order)
        self.clock.sleep(CONVERSION_S)
        at = self.clock.monotonic()
        # Reading clears Data_Ready, so a conversion that was never ordered is not taken for a new one
        state = self._chip.read(CONFIGURATION)
        raw = steady(lambda: self._chip.read(TEMPERATURE), self)
        for seen in (state, self._chip.read(CONFIGURATION)):  # once more: a brown-out in between would have left -256 °C to be read
            if AVG.get(seen) != EIGHT or MOD.get(seen) not in (ONE_SHOT, SHUTDOWN):
                raise SettingsLost(f"{self} shows power-on values instead of a measurement; check its power supply")
        if not DATA_READY.get(state):
            raise NotReady(f"{self} has not measured after {CONVERSION_S * 1000:.0f} ms, longer than its data sheet allows")
        return Measurement(at, {"temperature": within(raw, *LIMITS, raw * CELSIUS)})
