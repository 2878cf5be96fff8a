"""Sensirion SGP40: volatile organic compounds in the air, as the raw signal, with a check sum.

Source: data sheet SGP40, version 1.2.
"""

from __future__ import annotations

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.crc import checked_words
from bramble_client.hal.drivers.base import Measurement, within
from bramble_client.hal.drivers.sensirion import CommandDriver
from bramble_client.hal.errors import ChecksumError, NoAcknowledge, SensorError, UnsteadyRead, WrongChip

# Section 4.6, table 8: commands, and how long they take at most
MEASURE, MEASURE_S = b"\x26\x0f", 0.03
SELF_TEST, SELF_TEST_S, PASSED = b"\x28\x0e", 0.32, 0xD400
HEATER_OFF, HEATER_OFF_S = b"\x36\x15", 0.001
SERIAL, SERIAL_S = b"\x36\x82", 0.001
COMPENSATION = b"\x80\x00\xa2\x66\x66\x93"  # table 10: 50 % and 25 °C, which leave the humidity compensation off
CALM = 100  # ticks between measurements in short order: several times the noise, a fraction of what a cold heater is off
LIMITS = 0, 0xFFFF


class SGP40(CommandDriver):
    """Three to six measurements a call, of which the last three agree; the chip heats in between.

    The first value after the heater was off is to be thrown away (section 3.1), and nothing but the value itself tells that the chip
    was without power; two that are wrong in the same way are the work of a supply that failed twice within 30 ms. The signal falls as
    there is more to smell; by itself it says little, only its changes do.
    """

    name = "sgp40"
    chip = "SGP40"
    addresses = (0x59,)
    channels = ("voc_raw",)
    fastest = 1.0  # section 3.1: the usual pace

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip has a serial number with good check sums."""
        bus.transfer(address, SERIAL)
        try:
            return len(checked_words(bus.transfer(address, b"", 9), cls.chip)) == 3
        except ChecksumError:
            return False

    def setup(self) -> None:
        """Turn the heater off, see that the chip answers as one of its kind, and let it test itself."""
        self._send(HEATER_OFF, HEATER_OFF_S)
        self._ask(SERIAL, SERIAL_S, 3)
        try:
            self._measure()
        except NoAcknowledge as cause:
            raise WrongChip(f"{self} has a serial number, but does not measure as an SGP40 does; is it an SGP41?") from cause
        (result,) = self._ask(SELF_TEST, SELF_TEST_S, 1)
        if result != PASSED:
            raise SensorError(f"{self} fails its own test with {result:#06x}; replace it")

    def read(self) -> Measurement:
        """Measure until three values in a row agree.

        Raises
        ------
        ChecksumError
            If the bytes were damaged on the way.
        NoAcknowledge
            If the chip has no measurement to give, as after a brown-out.
        UnsteadyRead
            If no three values agree.
        """
        values = [self._measure(), self._measure()]
        for _ in range(4):
            values = [*values[-2:], self._measure()]
            if max(values) - min(values) <= CALM:
                return Measurement(self.clock.monotonic(), {"voc_raw": within(values[-1], *LIMITS, float(values[-1]))})
        raise UnsteadyRead(f"{self}: no three measurements agree; check its power supply, the heater draws 4 mA")

    def _measure(self) -> int:
        (value,) = self._ask(MEASURE + COMPENSATION, MEASURE_S, 1)
        return value
