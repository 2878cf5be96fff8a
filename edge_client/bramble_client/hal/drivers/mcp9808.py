"""Microchip MCP9808, and the MCP9804 with the same registers: temperature.

Source: data sheet DS25095A.
"""

from __future__ import annotations

from collections.abc import Mapping

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import Driver, Measurement, latest, within
from bramble_client.hal.drivers.identity import Identity
from bramble_client.hal.registers import Device, Field, Register

# Section 5.1, register 5-1
CONFIGURATION = Register(0x01, 2)
TEMPERATURE = Register(0x05, 2)
MANUFACTURER, DEVICE = Register(0x06, 2), Register(0x07, 2)
RESOLUTION = Register(0x08)

CELSIUS, STEP = Field(0, 13, signed=True), 1 / 16  # section 5.1.3; the three bits above tell of limits, which are not used
KIND = Field(8, 8)
MICROCHIP = 0x0054  # section 5.1.4
# Thermometers of memory modules, from their own data sheets
RELATIVES = {code: f"{chip}, which no driver here reads" for code, chip in ((0x20, "MCP98242"), (0x21, "MCP98243"), (0x22, "MCP98244"))}
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
    ranges: Mapping[str, tuple[float, float]] = {"temperature": (-40, 125)}
    identity = Identity(DEVICE, {0x04: "MCP9808", 0x02: "MCP9804"}, RELATIVES, KIND, maker=(MANUFACTURER, MICROCHIP))  # section 5.1.5

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None) -> None:
        super().__init__(bus, address, clock)
        self._chip = Device(bus, self.address)
        self._fresh_at = 0.0

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip's maker and kind are this one's, whatever its revision."""
        return cls.identity.fits(bus, address)

    def setup(self) -> None:
        """Check the identity, write the settings, and wait for a conversion that was made with them."""
        self.identity.prove(self)
        self._chip.write(CONFIGURATION, SETTINGS)
        self._chip.write(RESOLUTION, FINEST)
        self._fresh_at = self.clock.monotonic() + CONVERSION_S

    def read(self) -> Measurement:
        """Return the latest measurement; one that was returned before is not returned again.

        Raises
        ------
        SettingsLost
            If the chip was without power since ``setup``.
        UnsteadyRead
            If the bytes were damaged on the way.
        """
        self.clock.sleep(max(0.0, self._fresh_at - self.clock.monotonic()))
        raw = latest(lambda: self._chip.read(TEMPERATURE), self)
        if self._chip.read(CONFIGURATION) != SETTINGS or self._chip.read(RESOLUTION) != FINEST:
            raise self._settings_lost()
        now = self.clock.monotonic()
        self._fresh_at = now + CONVERSION_S
        steps = CELSIUS.get(raw)
        return Measurement(now - CONVERSION_S / 2, {"temperature": within(steps, *LIMITS, steps * STEP)})
