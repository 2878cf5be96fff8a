"""Aosong AHT20, and its kin with the same words: AHT21, AHT25, DHT20, AM2301B. Temperature and humidity, with a check sum.

Source: data sheet AHT20, version 1.0.03. The chip has no identity.
"""

from __future__ import annotations

from collections.abc import Mapping

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.crc import crc8
from bramble_client.hal.drivers.base import Driver, Measurement, within
from bramble_client.hal.errors import ChecksumError, NotReady, SettingsLost
from bramble_client.hal.registers import Field

# Section 5.3, table 9
INITIALISE, INITIALISE_S = b"\xbe\x08\x00", 0.01
MEASURE, CONVERSION_S = b"\xac\x33\x00", 0.08
SOFT_RESET, RESET_S = b"\xba", 0.02  # section 5.5
# Section 5.3, table 10: the status is the first byte of every read
BUSY, CALIBRATED = Field(7), Field(3)
SIZE = 7
HUMIDITY, TEMPERATURE = Field(28, 20), Field(8, 20)
FULL = 1 << 20
LIMITS = 0, FULL - 1
EMPTY = (0x80000, 0x80000)  # what both words hold where nothing was measured: 50 % at 50 °C, seen with this family


class AHT20(Driver):
    """One measurement a call; the chip idles in between."""

    name = "aht20"
    chip = "AHT20"
    addresses = (0x38,)
    channels = ("temperature", "humidity")
    certain = False
    fastest = 0.5
    frozen_after = 5
    ranges: Mapping[str, tuple[float, float]] = {"temperature": (-40, 85)}  # table 2

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip gives a measurement with a good check sum, or else follows the order to measure."""
        data = bus.transfer(address, b"", SIZE)
        if len(set(data)) == 1 or BUSY.get(data[0]):
            return False  # the pins of a port expander, which an order below would switch, or a bus without a chip
        if crc8(data[:-1]) == data[-1]:
            return True
        bus.transfer(address, MEASURE)
        return bool(BUSY.get(bus.transfer(address, b"", 1)[0]))

    def setup(self) -> None:
        """Reset the chip, and let it load its calibration."""
        self.bus.transfer(self.address, SOFT_RESET)
        self.clock.sleep(RESET_S)
        if not CALIBRATED.get(self._status()):
            self.bus.transfer(self.address, INITIALISE)
            self.clock.sleep(INITIALISE_S)
            if not CALIBRATED.get(self._status()):
                raise NotReady(f"{self} does not load its calibration; check that the chip is no AHT10, which is initialised otherwise")

    def read(self) -> Measurement:
        """Measure once.

        Raises
        ------
        ChecksumError
            If the bytes were damaged on the way.
        NotReady
            If no conversion begins, or it takes longer than the data sheet allows.
        SettingsLost
            If the chip was without power in between.
        """
        self.bus.transfer(self.address, MEASURE)
        if not BUSY.get(self._status()):
            raise NotReady(f"{self} did not begin to measure; shorten the wires or slow the bus down")
        self.clock.sleep(CONVERSION_S)
        at = self.clock.monotonic()
        data = self.bus.transfer(self.address, b"", SIZE)
        if crc8(data[:-1]) != data[-1]:
            raise ChecksumError(f"{self} sent data that do not match their check sum; an AHT10 has none, else shorten the wires")
        if BUSY.get(data[0]):
            raise NotReady(f"{self} is still measuring after {CONVERSION_S * 1000:.0f} ms, longer than its data sheet allows")
        block = int.from_bytes(data, "big")
        humidity, temperature = HUMIDITY.get(block), TEMPERATURE.get(block)
        if not CALIBRATED.get(data[0]) or (humidity, temperature) == EMPTY:
            raise SettingsLost(f"{self} shows power-on values instead of a measurement; check its power supply")
        # Sections 6.1 and 6.2; the formula for humidity ends where humidity does
        celsius = 200 * temperature / FULL - 50
        return Measurement(at, {"temperature": within(temperature, *LIMITS, celsius), "humidity": 100 * humidity / FULL})

    def _status(self) -> int:
        return self.bus.transfer(self.address, b"", 1)[0]
