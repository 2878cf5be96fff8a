"""Sensirion SHTC3: temperature and humidity, each word with a check sum.

Source: data sheet SHTC3, version 4.
"""

from __future__ import annotations

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.crc import checked_words
from bramble_client.hal.drivers.base import within
from bramble_client.hal.drivers.sensirion import Hygrometer
from bramble_client.hal.errors import ChecksumError, NoAcknowledge, WrongChip

WAKE_UP = b"\x35\x17"  # section 5.1
SOFT_RESET = b"\x80\x5d"  # section 5.7
IDENTITY = b"\xef\xc8"  # section 5.9
MEASURE = b"\x78\x66"  # section 5.3, table 9: normal mode, temperature first, no clock stretching
RESET_S = 0.00024  # table 5: after a reset and after waking up, maximum
CONVERSION_S = 0.0121  # table 5, normal mode, maximum
KIND, SHTC3_KIND = 0x083F, 0x0807  # table 15: the bits that tell the product, and this one's
SHTC1_KIND = 0x0007
LIMITS = 0, 0xFFFF


class SHTC3(Hygrometer):
    """One measurement a call. The chip is left awake, where it draws 45 µA: asleep, it hears nothing but its waking."""

    name = "shtc3"
    chip = "SHTC3"
    addresses = (0x70,)
    measure, conversion_s = MEASURE, CONVERSION_S

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip gives its product's number with a good check sum."""
        for _ in range(2):
            try:
                bus.transfer(address, b"", 1)
            except NoAcknowledge:  # as this chip does once it has nothing to say; what nobody fetched is gone after one read
                break
        else:
            return False  # as a bus multiplexer does, whose switches the commands below would move
        bus.transfer(address, WAKE_UP)
        try:
            (kind,) = checked_words(bus.transfer(address, IDENTITY, 3), cls.chip)
        except ChecksumError:
            return False
        return kind & KIND == SHTC3_KIND

    def setup(self) -> None:
        """Wake the chip up, reset it, and see that it is one of its kind."""
        self._send(WAKE_UP, RESET_S)
        self._send(SOFT_RESET, RESET_S)
        (kind,) = checked_words(self.bus.transfer(self.address, IDENTITY, 3), self)
        if kind & KIND != SHTC3_KIND:
            relative = "an SHTC1 or SHTW2" if kind & KIND == SHTC1_KIND else "another chip"
            raise WrongChip(f"{self} has id {kind:#06x}: it is {relative}, for which there is no driver")

    @staticmethod
    def _convert(temperature: int, humidity: int) -> tuple[float, float]:
        # Section 5.11; the formula for humidity ends where humidity does
        return within(temperature, *LIMITS, -45 + 175 * temperature / 65536), 100 * humidity / 65536
