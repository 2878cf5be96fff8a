"""Texas Instruments TMP102, and its kin with the same registers: TMP105 and the LM75 of many makers. Temperature.

Sources: TMP102 data sheet SBOS397, TMP105 data sheet SBOS648, National Semiconductor LM75 data sheet. None has an identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import Driver, Measurement, latest, steady, within
from bramble_client.hal.errors import NotReady
from bramble_client.hal.registers import Device, Field, Register

# LM75 section 1.11, TMP102 "pointer register": the same four registers
TEMPERATURE = Register(0x00, 2, signed=True)
CONFIGURATION = Register(0x01)
LOW, HIGH = Register(0x02, 2), Register(0x03, 2)

CELSIUS = 1 / 256  # the high byte counts whole degrees, whatever the resolution


class LM75(Driver):
    """The chip measures all the time; a call reads its latest value, in steps of 0.5 °C."""

    name = "lm75"
    chip = "LM75"
    addresses = tuple(range(0x48, 0x50))
    channels = ("temperature",)
    certain = False
    conversion_s: ClassVar[float] = 0.3  # LM75, electrical characteristics, maximum
    # The fault queue is without effect here; not its power-on value, it betrays a chip that was without power
    settings: ClassVar[int] = 0x08
    configuration: ClassVar[Register] = CONFIGURATION
    unused: ClassVar[int] = 0x007F
    """Bits of the limit registers that a chip of this kind does not have."""
    limits: ClassVar[tuple[int, int]] = (-0x8000, 0x7F80)
    """What the temperature register shows of everything beyond."""
    ranges: Mapping[str, tuple[float, float]] = {"temperature": (-55, 128)}

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None) -> None:
        super().__init__(bus, address, clock)
        self._chip = Device(bus, self.address)
        self._fresh_at = 0.0

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip may be one: the bits that it does not have read 0, and the low limit is below the high one."""
        chip = Device(bus, address)
        low, high = chip.read(LOW), chip.read(HIGH)
        return not (low | high) & cls.unused and low < high and cls._configuration_fits(chip.read(cls.configuration))

    @classmethod
    def _configuration_fits(cls, value: int) -> bool:
        return value & 0xE0 == 0  # LM75 section 1.13: D5 to D7 are kept zero

    def setup(self) -> None:
        """Write the settings and wait for the first conversion."""
        self._chip.write(self.configuration, self.settings)
        self._fresh_at = self.clock.monotonic() + self.conversion_s

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
        if self._chip.read(self.configuration) != self.settings:
            raise self._settings_lost()
        now = self.clock.monotonic()
        self._fresh_at = now + self.conversion_s
        return Measurement(now - self.conversion_s / 2, {"temperature": within(raw, *self.limits, raw * CELSIUS)})


class TMP105(LM75):
    """As the LM75, in steps of 0.0625 °C."""

    name = "tmp105"
    chip = "TMP105"
    addresses = (0x48, 0x49)
    conversion_s = 0.32  # TMP105, electrical characteristics, 12 bits, maximum
    settings = 0x68  # R1 and R0: 12 bits; and the fault queue, as above
    unused = 0x000F
    limits = (-0x8000, 0x7FF0)

    @classmethod
    def _configuration_fits(cls, value: int) -> bool:
        return value & 0x80 == 0  # OS always reads 0


class TMP102(LM75):
    """One measurement a call; the chip sleeps in between (TMP102, "one-shot/conversion ready")."""

    name = "tmp102"
    chip = "TMP102"
    addresses = (0x48, 0x49, 0x4A, 0x4B)
    fastest = 0.1
    conversion_s = 0.035  # TMP102, electrical characteristics, maximum
    configuration = Register(0x01, 2)
    settings = 0x61A0  # power-on value 0x60A0 with SD: shut down
    unused = 0x000F
    limits = (-0x8000, 0x7FF0)

    _one_shot = Field(15)
    _alert = Field(5)  # follows the temperature

    @classmethod
    def _configuration_fits(cls, value: int) -> bool:
        return value & 0x600F == 0x6000  # R1 and R0 always read 1, the four lowest bits 0

    def setup(self) -> None:
        """Write the settings."""
        self._chip.write(self.configuration, self.settings)
        self.clock.sleep(self.conversion_s)

    def read(self) -> Measurement:
        """Measure once; see ``LM75.read``.

        Raises
        ------
        NotReady
            If no conversion begins, or it takes longer than the data sheet allows.
        """
        self._chip.write(self.configuration, self._one_shot.put(self.settings, 1))
        if self._state() != 0:  # reads 0 during a conversion
            raise NotReady(f"{self} did not begin to measure; shorten the wires or slow the bus down")
        self.clock.sleep(self.conversion_s)
        at = self.clock.monotonic()
        if self._state() != 1:
            raise NotReady(f"{self} is still measuring after {self.conversion_s * 1000:.0f} ms, longer than its data sheet allows")
        raw = steady(lambda: self._chip.read(TEMPERATURE), self)
        self._state()  # once more: a brown-out in between would have left 0 °C to be read
        return Measurement(at, {"temperature": within(raw, *self.limits, raw * CELSIUS)})

    def _state(self) -> int:
        """Return the one-shot bit, once the other settings are found to be what was written."""
        value = self._chip.read(self.configuration)
        ignored = self._one_shot.mask | self._alert.mask
        if (value ^ self.settings) & ~ignored:
            raise self._settings_lost()
        return self._one_shot.get(value)
