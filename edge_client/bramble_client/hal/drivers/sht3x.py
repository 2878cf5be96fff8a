"""Sensirion SHT30, SHT31, SHT35: temperature and humidity, each word with a check sum.

Source: data sheet SHT3x-DIS, version 5.
"""

from __future__ import annotations

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.crc import checked_words, crc8
from bramble_client.hal.drivers.base import within
from bramble_client.hal.drivers.sensirion import Hygrometer

MEASURE = b"\x24\x00"  # section 4.3, table 9: single shot, high repeatability, no clock stretching
STATUS = b"\xf3\x2d"  # section 4.11
SOFT_RESET = b"\x30\xa2"  # section 4.9
RESET_S = 0.0015  # table 4
CONVERSION_S = 0.0155  # table 4, high repeatability, maximum
LIMITS = 0, 0xFFFF  # of the temperature; the humidity ends where air does, at 0 and 100 %
RESERVED = 0x500C  # table 18: status bits that read 0, bits 5 to 9 aside


class SHT3x(Hygrometer):
    """One measurement a call; the chip sleeps in between. It has no settings that a brown-out could take."""

    name = "sht3x"
    chip = "SHT3x"
    addresses = (0x44, 0x45)
    measure, conversion_s = MEASURE, CONVERSION_S

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip answers the status command with a good check sum."""
        data = bus.transfer(address, STATUS, 3)
        return crc8(data[:2]) == data[2] and not int.from_bytes(data[:2], "big") & RESERVED

    def setup(self) -> None:
        """Reset the chip, and see that it answers as one of its kind."""
        self._send(SOFT_RESET, RESET_S)
        checked_words(self.bus.transfer(self.address, STATUS, 3), self)

    @staticmethod
    def _convert(temperature: int, humidity: int) -> tuple[float, float]:
        # Section 4.13
        return within(temperature, *LIMITS, -45 + 175 * temperature / 65535), 100 * humidity / 65535
