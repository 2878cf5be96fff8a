"""Texas Instruments INA219: voltage, current and power of a supply.

Source: data sheet SBOS448G. The chip has no identity.
"""

from __future__ import annotations

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import OUT_OF_RANGE, Driver, Measurement, within
from bramble_client.hal.drivers.options import Option
from bramble_client.hal.errors import NotReady, SettingsLost, UnsteadyRead
from bramble_client.hal.registers import Device, Field, Register

# Section 8.6.1, table 2
CONFIGURATION = Register(0x00, 2)
SHUNT_VOLTAGE = Register(0x01, 2, signed=True)
BUS_VOLTAGE = Register(0x02, 2)
POWER = Register(0x03, 2)
CURRENT = Register(0x04, 2, signed=True)
CALIBRATION = Register(0x05, 2)

VOLTS, READY, OVERFLOW = Field(3, 13), Field(1), Field(0)
RESET = 0x8000
# Section 8.6.2.1: 32 V, 320 mV across the shunt, 12 bits each, both voltages once when triggered
SETTINGS = 0x399B
CONVERSION_S = 0.0013  # section 7.5: twice 586 us, and some
BUS_STEP, SHUNT_STEP = 0.004, 1e-5  # sections 8.6.3.1 and 8.6.3.2
MOST_VOLTS, MOST_SHUNT = 8000, 32_000  # what the two registers show of everything beyond, sections 8.6.3.1 and 8.6.3.2
SHUNT_OHMS = 0.1  # what the usual boards carry


class INA219(Driver):
    """One measurement a call; the chip idles in between.

    It computes current and power from the two voltages by itself. The driver does the same and compares: a check sum of its kind.
    """

    name = "ina219"
    chip = "INA219"
    addresses = tuple(range(0x40, 0x50))
    channels = ("voltage", "current", "power")
    certain = False
    fastest = 0.01
    options = (Option("shunt_ohms", "resistance of the shunt on the board, in ohms", SHUNT_OHMS, float, low=1e-5, high=100),)

    def __init__(
        self,
        bus: I2CBus,
        address: int | None = None,
        clock: Clock | None = None,
        shunt_ohms: float = SHUNT_OHMS,
        current_step: float | None = None,
    ) -> None:
        super().__init__(bus, address, clock)
        self._chip = Device(bus, self.address)
        self._step = current_step or SHUNT_STEP / shunt_ohms  # as fine as the shunt voltage is measured
        most = MOST_SHUNT * SHUNT_STEP / shunt_ohms
        self.ranges = {"voltage": (0, 32), "current": (-most, most), "power": (-32 * most, 32 * most)}
        self._calibration = round(0.04096 / (self._step * shunt_ohms)) & ~1  # section 8.5.1, equation 1; the lowest bit reads 0

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip may be one: its settings are those after power-on, or this driver's."""
        return Device(bus, address).read(CONFIGURATION) in (0x399F, SETTINGS)

    def setup(self) -> None:
        """Reset the chip and write the calibration, without which it shows no current."""
        self._chip.write(CONFIGURATION, RESET)
        self._chip.write(CALIBRATION, self._calibration)
        if self._chip.read(CALIBRATION) != self._calibration:
            raise SettingsLost(f"{self} does not keep its calibration; check that the chip is an INA219")
        self._chip.read(POWER)  # clears the flag that a conversion is ready

    def read(self) -> Measurement:
        """Measure once.

        Raises
        ------
        SettingsLost
            If the chip was without power since ``setup``.
        NotReady
            If the conversion takes longer than the data sheet allows.
        UnsteadyRead
            If the registers contradict each other: bytes were damaged on the way.
        """
        read = self._chip.read
        self._chip.write(CONFIGURATION, SETTINGS)
        self.clock.sleep(CONVERSION_S)
        at = self.clock.monotonic()
        bus, shunt, current = read(BUS_VOLTAGE), read(SHUNT_VOLTAGE), read(CURRENT)
        power = read(POWER)  # clears the flag that a conversion is ready
        if VOLTS.get(read(BUS_VOLTAGE)) != VOLTS.get(bus):  # with little current, the power below tells little of the voltage
            raise UnsteadyRead(f"{self}: two reads of the voltage differ; shorten the wires or slow the bus down")
        if read(CONFIGURATION) != SETTINGS or read(CALIBRATION) != self._calibration:
            raise self._settings_lost()
        if not READY.get(bus):
            raise NotReady(f"{self} has not measured after {CONVERSION_S * 1000:.1f} ms, longer than its data sheet allows")
        if OVERFLOW.get(bus) and OVERFLOW.get(read(BUS_VOLTAGE)):
            return Measurement(at, dict.fromkeys(self.channels, OUT_OF_RANGE))
        # Sections 8.6.3.3 and 8.6.3.4
        agree = abs(shunt * self._calibration / 4096 - current) <= 1
        if current >= 0:  # how the power register shows a reversed current is not said
            agree = agree and abs(current * VOLTS.get(bus) / 5000 - power) <= 1
        if not agree:
            raise UnsteadyRead(f"{self}: voltage, current and power contradict each other; shorten the wires or slow the bus down")
        volts = within(VOLTS.get(bus), -1, MOST_VOLTS, VOLTS.get(bus) * BUS_STEP)
        amperes = within(shunt, -MOST_SHUNT, MOST_SHUNT, current * self._step)
        return Measurement(at, {"voltage": volts, "current": amperes, "power": volts * amperes})
