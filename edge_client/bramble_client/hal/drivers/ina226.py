"""Texas Instruments INA226: voltage, current and power of a supply.

Source: data sheet SBOS547B.
"""

from __future__ import annotations

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import Driver, Measurement, steady, within
from bramble_client.hal.drivers.identity import Identity
from bramble_client.hal.drivers.options import Option
from bramble_client.hal.errors import NotReady
from bramble_client.hal.registers import Device, Field, Register

# Section 7.1, table 7-1
CONFIGURATION = Register(0x00, 2)
SHUNT_VOLTAGE = Register(0x01, 2, signed=True)
BUS_VOLTAGE = Register(0x02, 2)
MASK_ENABLE = Register(0x06, 2)
MANUFACTURER, DIE = Register(0xFE, 2), Register(0xFF, 2)

READY = Field(3)
TEXAS, NUMBER = 0x5449, Field(4, 12)  # sections 7.1.9 and 7.1.10; below the number is the revision
# Their own data sheets; the last two measure air
RELATIVES = {
    code: f"{chip}, which no driver here reads"
    for code, chip in ((0x227, "INA260"), (0x322, "INA3221"), (0x105, "HDC1080"), (0x07D, "HDC2080"))
}
RESET = 0x8000
# Section 7.1.1: 4 averages of 1.1 ms each, both voltages once when triggered
SETTINGS = 0x4323
CONVERSION_S = 4 * 2 * 1.21e-3  # section 5.5, maximum
BUS_STEP, SHUNT_STEP = 1.25e-3, 2.5e-6  # sections 7.1.3 and 7.1.2
BUS_LIMITS, SHUNT_LIMITS = (-1, 0x7FFF), (-0x8000, 0x7FFF)  # 0 V is a value
SHUNT_OHMS = 0.1  # what the usual boards carry


class INA226(Driver):
    """One measurement a call; the chip idles in between.

    The driver computes current and power from the two voltages: the chip's own registers for them would tell no more, and need a
    calibration that a brown-out takes away.
    """

    name = "ina226"
    chip = "INA226"
    addresses = tuple(range(0x40, 0x50))
    channels = ("voltage", "current", "power")
    fastest = 0.02
    identity = Identity(DIE, {0x226: "INA226"}, RELATIVES, NUMBER, "INA219", (MANUFACTURER, TEXAS))
    options = (Option("shunt_ohms", "resistance of the shunt on the board, in ohms", SHUNT_OHMS, float, low=1e-5, high=100),)

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None, shunt_ohms: float = SHUNT_OHMS) -> None:
        super().__init__(bus, address, clock)
        self._chip = Device(bus, self.address)
        self._ohms = shunt_ohms
        most = SHUNT_LIMITS[1] * SHUNT_STEP / shunt_ohms
        self.ranges = {"voltage": (0, 40.96), "current": (-most, most), "power": (-40.96 * most, 40.96 * most)}

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip's maker and die are this one's, whatever its revision."""
        return cls.identity.fits(bus, address)

    def setup(self) -> None:
        """Check the identity, reset the chip, and write the settings, which begins a first measurement."""
        self.identity.prove(self)
        self._chip.write(CONFIGURATION, RESET)
        self._chip.write(CONFIGURATION, SETTINGS)
        self.clock.sleep(CONVERSION_S)

    def read(self) -> Measurement:
        """Measure once.

        Raises
        ------
        SettingsLost
            If the chip was without power since ``setup``.
        NotReady
            If the conversion takes longer than the data sheet allows.
        UnsteadyRead
            If the bytes were damaged on the way.
        """
        self._chip.read(MASK_ENABLE)  # clears the flag of the last conversion
        self._chip.write(CONFIGURATION, SETTINGS)
        self.clock.sleep(CONVERSION_S)
        at = self.clock.monotonic()
        ready = READY.get(self._chip.read(MASK_ENABLE))
        shunt, bus = steady(lambda: (self._chip.read(SHUNT_VOLTAGE), self._chip.read(BUS_VOLTAGE)), self)
        if self._chip.read(CONFIGURATION) != SETTINGS:
            raise self._settings_lost()
        if not ready:
            raise NotReady(f"{self} has not measured after {CONVERSION_S * 1000:.1f} ms, longer than its data sheet allows")
        volts = within(bus, *BUS_LIMITS, bus * BUS_STEP)
        amperes = within(shunt, *SHUNT_LIMITS, shunt * SHUNT_STEP / self._ohms)
        return Measurement(at, {"voltage": volts, "current": amperes, "power": volts * amperes})
