"""Sensirion SHT40, SHT41, SHT43, SHT45: temperature and humidity, each word with a check sum.

Source: data sheet SHT4x, version 6.
"""

from __future__ import annotations

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.crc import checked_words
from bramble_client.hal.drivers.base import within
from bramble_client.hal.drivers.sensirion import Hygrometer
from bramble_client.hal.errors import ChecksumError

# Section 4.5, command overview
MEASURE = b"\xfd"  # high precision
SERIAL = b"\x89"
SOFT_RESET = b"\x94"
RESET_S = 0.001  # section 3.2, timing specifications
CONVERSION_S = 0.0083  # the same, high repeatability, maximum
LIMITS = 0, 0xFFFF


class SHT4x(Hygrometer):
    """One measurement a call; the chip sleeps in between. It has no settings that a brown-out could take."""

    name = "sht4x"
    chip = "SHT4x"
    addresses = (0x44, 0x45, 0x46)
    measure, conversion_s = MEASURE, CONVERSION_S

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip has a serial number with good check sums."""
        bus.transfer(address, SERIAL)
        try:
            return len(checked_words(bus.transfer(address, b"", 6), cls.chip)) == 2
        except ChecksumError:
            return False

    def setup(self) -> None:
        """Reset the chip, and see that it answers as one of its kind."""
        self._send(SOFT_RESET, RESET_S)
        self._ask(SERIAL, RESET_S, 2)

    @staticmethod
    def _convert(temperature: int, humidity: int) -> tuple[float, float]:
        # Section 4.6; the formula reaches beyond what can be, and the data sheet asks to crop it
        percent = min(max(-6 + 125 * humidity / 65535, 0.0), 100.0)
        return within(temperature, *LIMITS, -45 + 175 * temperature / 65535), within(humidity, *LIMITS, percent)
