"""What Sensirion's chips share: commands instead of registers, and words with check sums for an answer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from bramble_client.hal.crc import checked_words
from bramble_client.hal.drivers.base import Driver, Measurement


class CommandDriver(Driver):
    """A chip that takes commands."""

    def _send(self, command: bytes, seconds: float) -> None:
        """Give a command, and wait until it is carried out."""
        self.bus.transfer(self.address, command)
        self.clock.sleep(seconds)

    def _fetch(self, count: int) -> list[int]:
        """Fetch the words of the answer."""
        return checked_words(self.bus.transfer(self.address, b"", 3 * count), self)

    def _ask(self, command: bytes, seconds: float, count: int) -> list[int]:
        self._send(command, seconds)
        return self._fetch(count)


class Hygrometer(CommandDriver):
    """A chip that measures temperature and humidity, once for each order; what it says is a word of each."""

    channels = ("temperature", "humidity")
    fastest = 0.1
    frozen_after = 5
    ranges: Mapping[str, tuple[float, float]] = {"temperature": (-40, 125)}  # the data sheets' operating range, of each of them
    measure: ClassVar[bytes]
    """The order to measure."""
    conversion_s: ClassVar[float]
    """How long that takes at most."""

    def read(self) -> Measurement:
        """Measure once.

        Raises
        ------
        ChecksumError
            If the bytes were damaged on the way.
        NoAcknowledge
            If the chip has no measurement to give, as after a brown-out.
        """
        self._send(self.measure, self.conversion_s)
        at = self.clock.monotonic()
        temperature, humidity = self._fetch(2)
        return Measurement(at, dict(zip(self.channels, self._convert(temperature, humidity), strict=True)))

    @staticmethod
    @abstractmethod
    def _convert(temperature: int, humidity: int) -> tuple[float, float]:
        """Return °C and % from the two words."""
