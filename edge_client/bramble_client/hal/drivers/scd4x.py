"""Sensirion SCD40, SCD41, SCD43: carbon dioxide, temperature and humidity, each word with a check sum.

Source: data sheet SCD4x, version 1.3.
"""

from __future__ import annotations

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.crc import checked_words, crc8
from bramble_client.hal.drivers.base import Measurement, within
from bramble_client.hal.drivers.options import Option
from bramble_client.hal.drivers.sensirion import CommandDriver
from bramble_client.hal.errors import BusError, ChecksumError, NotReady, SettingsLost

# Section 3.4, table 9
START = b"\x21\xb1"
READ = b"\xec\x05"
STOP, STOP_S = b"\x3f\x86", 0.5
DATA_READY = b"\xe4\xb8"
SERIAL = b"\x36\x82"
REINIT, REINIT_S = b"\x36\x46", 0.03
COMMAND_S = 0.001
# Sections 3.6.3 and 3.7.2: what sets a value, and what reads it back
ALTITUDE, SELF_CALIBRATION = (b"\x24\x27", b"\x23\x22"), (b"\x24\x16", b"\x23\x13")
READY = 0x07FF  # section 3.8.2: any of the 11 lowest bits
PERIOD_S = 5.0  # section 3.5.1
MOST_PPM = 40_000  # section 2.1, output range
LIMITS = 0, 0xFFFF  # of the temperature; the humidity ends where air does, at 0 and 100 %


class SCD4x(CommandDriver):
    """The chip measures every 5 s by itself; a call waits for the next measurement, if it has not come."""

    name = "scd4x"
    chip = "SCD4x"
    addresses = (0x62,)
    channels = ("carbon_dioxide", "temperature", "humidity")
    fastest = PERIOD_S
    frozen_after = 5
    options = (
        Option("altitude", "of the place above the sea, in metres: thin air holds less to count", None, int, low=0, high=3000),
        Option("self_calibration", "whether the lowest value of a week is taken for fresh air; not where it never is", None, bool),
    )

    def __init__(
        self,
        bus: I2CBus,
        address: int | None = None,
        clock: Clock | None = None,
        altitude: int | None = None,
        self_calibration: bool | None = None,
    ) -> None:
        super().__init__(bus, address, clock)
        self._due = 0.0
        chosen = {ALTITUDE: altitude, SELF_CALIBRATION: self_calibration}
        self._settings = {commands: int(value) for commands, value in chosen.items() if value is not None}

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip has a serial number with good check sums, or is measuring, when it may not tell the number."""
        for command, length in ((SERIAL, 9), (DATA_READY, 3)):
            try:
                bus.transfer(address, command)
                checked_words(bus.transfer(address, b"", length), cls.chip)
            except (BusError, ChecksumError):
                continue
            return True
        return False

    def setup(self) -> None:
        """Stop what is running, load the stored settings, and start to measure periodically."""
        self._send(STOP, STOP_S)
        self._send(REINIT, REINIT_S)
        self._ask(SERIAL, COMMAND_S, 3)
        for (write, read_back), value in self._settings.items():
            word = value.to_bytes(2, "big")
            self._send(write + word + bytes((crc8(word),)), COMMAND_S)
            if self._ask(read_back, COMMAND_S, 1) != [value]:
                raise SettingsLost(f"{self} does not keep its settings; check its power supply")
        self._send(START, COMMAND_S)
        self._due = self.clock.monotonic() + PERIOD_S

    def read(self) -> Measurement:
        """Return the measurement that came since the last call, or wait for it.

        Raises
        ------
        ChecksumError
            If the bytes were damaged on the way.
        NotReady
            If none comes in time, as after a brown-out, when the chip no longer measures by itself.
        """
        self.clock.sleep(max(0.0, min(self._due - self.clock.monotonic(), PERIOD_S)))
        deadline = self.clock.monotonic() + 1.2 * PERIOD_S
        while not self._ask(DATA_READY, COMMAND_S, 1)[0] & READY:
            if self.clock.monotonic() >= deadline:
                raise NotReady(f"{self} has not measured for {1.2 * PERIOD_S:.0f} s; check its power supply, it draws 200 mA at its peak")
            self.clock.sleep(PERIOD_S / 50)
        at = self.clock.monotonic()
        self._due = at + 0.98 * PERIOD_S  # a little early: the chip's clock is not ours
        dioxide, temperature, humidity = self._ask(READ, COMMAND_S, 3)
        # Section 3.5.2
        return Measurement(
            at,
            {
                "carbon_dioxide": within(dioxide, -1, MOST_PPM, float(dioxide)),
                "temperature": within(temperature, *LIMITS, -45 + 175 * temperature / 65535),
                "humidity": 100 * humidity / 65535,
            },
        )
