"""Sensirion SGP40 at command level, from data sheet SGP40, version 1.2."""

from __future__ import annotations

from bramble_client.hal.sim.chips.base import nack
from bramble_client.hal.sim.chips.sensirion import CommandChip, check_sum, packed
from bramble_client.hal.sim.chips.word_registers import clamp

MEASURE, SELF_TEST, HEATER_OFF, SERIAL = 0x260F, 0x280E, 0x3615, 0x3682
SECONDS = {MEASURE: 0.028, SELF_TEST: 0.3, HEATER_OFF: 0.0005, SERIAL: 0.0005}  # table 8 has the maxima alone
NUMBER = (0x0000, 0x0150, 0x7A2F)
COLD_TICKS = 5000
"""How far the first value after the heater was off is from the truth; that it is to be thrown away is all that section 3.1 says of it."""


class SGP40(CommandChip):
    """The chip with its heater, self-test and serial number. It takes a measurement's humidity and temperature, and leaves them at that."""

    name = "sgp40"

    def power_on(self) -> None:
        """Start idle, with the heater off (section 3.4)."""
        super().power_on()
        self.hot = False
        self._measuring = False
        self._raw = 0

    def command(self, code: int, parameters: bytes) -> None:
        """Carry out a command of table 8; what is written with it needs its check sums (section 4.5)."""
        self._measuring = False
        if code not in SECONDS or len(parameters) != (6 if code == MEASURE else 0):
            raise nack()
        if any(check_sum(int.from_bytes(parameters[i : i + 2], "big")) != parameters[i + 2] for i in range(0, len(parameters), 3)):
            raise nack()
        self.ready_at = self.clock.monotonic() + SECONDS[code]
        if code == MEASURE:
            self._measuring = True
        elif code == SELF_TEST:
            self.answer = packed(0xD400)
        elif code == SERIAL:
            self.answer = packed(*NUMBER)
        else:
            self.hot = False

    def finish(self) -> None:
        """Measure; the first value with a heater that was off is wrong."""
        if self._measuring:
            self._measuring = False
            if not self.frozen:
                ticks = self.feel("voc_raw", 10.0)
                self._raw = clamp(ticks if self.hot else ticks - COLD_TICKS, 0, 0xFFFF)
            self.hot = True
            self.answer = packed(self._raw)
