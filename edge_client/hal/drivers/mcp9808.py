"""Microchip MCP9808: temperature.

Source: data sheet DS25095A.
"""

from __future__ import annotations

from edge_client.hal.bus import I2CBus
from edge_client.hal.clock import Clock
from edge_client.hal.drivers.base import Driver, Measurement, steady, within
from edge_client.hal.errors import SettingsLost, WrongChip
from edge_client.hal.registers import Device, Field, Register

# Section 5.1, register 5-1
CONFIGURATION = Register(0x01, 2)
TEMPERATURE = Register(0x05, 2)
MANUFACTURER, DEVICE = Register(0x06, 2), Register(0x07, 2)
RESOLUTION = Register(0x08)

CELSIUS, STEP = Field(0, 13, signed=True), 1 / 16  # section 5.1.3; the three bits above tell of limits, which are not used
KIND = Field(8, 8)
MICROCHIP, MCP9808_KIND = 0x0054, 0x04  # sections 5.1.4 and 5.1.5
RELATIVES = {0x02: "MCP9804", 0x20: "MCP98242", 0x21: "MCP98243", 0x22: "MCP98244"}
# The hysteresis of the alert pin is without effect here; not its power-on value, it betrays a chip that was without power
SETTINGS = 0x0200
FINEST = 3
CONVERSION_S = 0.3  # section "temperature sensor characteristics": typically 250 ms
LIMITS = -0x1000, 0x0FFF


class MCP9808(Driver):
    """The chip measures all the time; a call reads its latest value, in steps of 0.0625 °C."""

    name = "mcp9808"
    chip = "MCP9808"
    addresses = tuple(range(0x18, 0x20))
    channels = ("temperature",)

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None) -> None:
        super().__init__(bus, address, clock)
        self._chip = Device(bus, self.address)
        self._fresh_at = 0.0

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip's maker and kind are this one's, whatever its revision."""
        chip = Device(bus, address)
        return chip.read(MANUFACTURER) == MICROCHIP and KIND.get(chip.read(DEVICE)) == MCP9808_KIND

    def setup(self) -> None:
        """Check the identity, write the settings, and wait for a conversion that was made with them."""
        maker, device = self._chip.read(MANUFACTURER), self._chip.read(DEVICE)
        if maker != MICROCHIP or KIND.get(device) != MCP9808_KIND:
            relative = RELATIVES.get(KIND.get(device)) if maker == MICROCHIP else None
            guess = f"it is a {relative}, for which there is no driver" if relative else "run `bramble sensors scan` to see what sits there"
            raise WrongChip(f"{self} has maker {maker:#06x} and id {device:#06x}, not {MICROCHIP:#06x} and {MCP9808_KIND:#04x}..; {guess}")
        self._chip.write(CONFIGURATION, SETTINGS)
        self._chip.write(RESOLUTION, FINEST)
        self._fresh_at = self.clock.now() + CONVERSION_S

    def read(self) -> Measurement:
        """Return the latest measurement; one that was returned before is not returned again.

        Raises
        ------
        SettingsLost
            If the chip was without power since ``setup``.
        UnsteadyRead
            If the bytes were damaged on the way.
        """
        self.clock.sleep(max(0.0, self._fresh_at - self.clock.now()))
        before = self._chip.read(TEMPERATURE)
        raw = self._chip.read(TEMPERATURE)
        if raw != before:  # damaged, or a conversion ended in between: then the next two agree
            raw = steady(lambda: self._chip.read(TEMPERATURE), self)
        if self._chip.read(CONFIGURATION) != SETTINGS or self._chip.read(RESOLUTION) != FINEST:
            raise SettingsLost(f"{self} lost its settings, as after a brown-out; check its power supply")
        now = self.clock.now()
        self._fresh_at = now + CONVERSION_S
        steps = CELSIUS.get(raw)
        return Measurement(now - CONVERSION_S / 2, {"temperature": within(steps, *LIMITS, steps * STEP)})
