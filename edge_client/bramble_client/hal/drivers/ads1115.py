"""Texas Instruments ADS1115: four voltages.

Source: data sheet SBAS444D. The chip has no identity.
"""

from __future__ import annotations

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import Driver, Measurement, steady, within
from bramble_client.hal.drivers.options import Option
from bramble_client.hal.errors import NotReady
from bramble_client.hal.registers import Device, Field, Register

# Section 9.6, register map
CONVERSION = Register(0x00, 2, signed=True)
CONFIG = Register(0x01, 2)
LOW, HIGH = Register(0x02, 2), Register(0x03, 2)

# Section 9.6.3, table 8
OS, MUX, PGA, MODE, DR, COMP_QUE = Field(15), Field(12, 3), Field(9, 3), Field(8), Field(5, 3), Field(0, 2)
SINGLE_ENDED = 4  # MUX of AIN0 against ground; the others follow
RANGES = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256)  # section 9.3.3, table 3, in the order of their codes
SINGLE_SHOT, RATE_128, NO_COMPARATOR = 1, 4, 3
CONVERSION_S = 1.1 / 128  # section 7.5: the data rate may be 10 % off
LIMITS = -0x8000, 0x7FFF


class ADS1115(Driver):
    """Each call measures the four inputs against ground, one after the other; up to 4.096 V in steps of 0.125 mV, unless told otherwise."""

    name = "ads1115"
    chip = "ADS1115"
    addresses = (0x48, 0x49, 0x4A, 0x4B)
    channels = ("a0.voltage", "a1.voltage", "a2.voltage", "a3.voltage")
    certain = False
    fastest = 0.1
    options = (Option("range", "full scale of the four inputs, in volts; beyond it there is no reading", 4.096, float, RANGES),)

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None, range: float = 4.096) -> None:
        super().__init__(bus, address, clock)
        self._chip = Device(bus, self.address)
        self._settings, self._step = 0, range / 32768
        for field, value in ((PGA, RANGES.index(range)), (MODE, SINGLE_SHOT), (DR, RATE_128), (COMP_QUE, NO_COMPARATOR)):
            self._settings = field.put(self._settings, value)

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip may be one: the comparator's limits have their power-on values, and single-shot mode is on."""
        chip = Device(bus, address)
        return chip.read(LOW) == 0x8000 and chip.read(HIGH) == 0x7FFF and MODE.get(chip.read(CONFIG)) == SINGLE_SHOT

    def setup(self) -> None:
        """See that the chip answers. There is nothing to set: every conversion brings its settings along."""
        self._chip.read(CONFIG)

    def read(self) -> Measurement:
        """Measure the four inputs; one that exceeds the range is NaN.

        Raises
        ------
        SettingsLost
            If the chip was without power in between.
        NotReady
            If no conversion begins, or it takes longer than the data sheet allows.
        UnsteadyRead
            If the bytes were damaged on the way.
        """
        values = {key: self._convert(MUX.put(self._settings, SINGLE_ENDED + i)) for i, key in enumerate(self.channels)}
        return Measurement(self.clock.monotonic(), values)

    def _convert(self, settings: int) -> float:
        self._chip.write(CONFIG, OS.put(settings, 1))
        # Without this look, an order that was damaged on the way would leave the last input's value to be read
        if self._idle(settings):
            raise NotReady(f"{self} did not begin to measure; shorten the wires or slow the bus down")
        self.clock.sleep(CONVERSION_S)
        if not self._idle(settings):
            raise NotReady(f"{self} is still measuring after {CONVERSION_S * 1000:.1f} ms, longer than its data sheet allows")
        raw = steady(lambda: self._chip.read(CONVERSION), self)
        self._idle(settings)  # once more: a brown-out in between would have left 0 to be read
        return within(raw, *LIMITS, raw * self._step)

    def _idle(self, settings: int) -> bool:
        state = self._chip.read(CONFIG)
        if (state ^ settings) & ~OS.mask:
            raise self._settings_lost()
        return bool(OS.get(state))
