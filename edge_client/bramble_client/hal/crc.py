"""The check sum that Sensirion's chips send after every 16-bit word, and Aosong's after a measurement."""

from __future__ import annotations

from bramble_client.hal.errors import ChecksumError


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value << 1 ^ 0x31) & 0xFF if value & 0x80 else value << 1
        table.append(value)
    return tuple(table)


_TABLE = _table()


def crc8(data: bytes) -> int:
    """Return CRC-8 with polynomial 0x31 and initial value 0xFF (SHT3x-DIS data sheet, section 4.12)."""
    crc = 0xFF
    for byte in data:
        crc = _TABLE[crc ^ byte]
    return crc


def checked_words(data: bytes, what: object) -> list[int]:
    """Take 16-bit words out of bytes in which each is followed by its check sum.

    Raises
    ------
    ChecksumError
        If one does not match.
    """
    values = []
    for i in range(0, len(data), 3):
        if crc8(data[i : i + 2]) != data[i + 2]:
            raise ChecksumError(f"{what} sent data that do not match their check sum; shorten the wires or slow the bus down")
        values.append(data[i] << 8 | data[i + 1])
    return values
