"""Sensirion SCD4x at command level, from data sheet SCD4x, version 1.3."""

from __future__ import annotations

from bramble_client.hal.sim.chips.base import nack
from bramble_client.hal.sim.chips.sensirion import CommandChip, check_sum, packed
from bramble_client.hal.sim.chips.word_registers import clamp

PERIOD_S = {0x21B1: 5.0, 0x21AC: 30.0}  # sections 3.5.1 and 3.8.1
WHILE_MEASURING = {0xEC05, 0x3F86, 0xE000, 0xE4B8}  # table 9
SERIAL = (0xF896, 0x9F07, 0x3BBE)  # the example of section 3.9.2
SETTINGS = {0x241D: 0x2318, 0x2427: 0x2322, 0x2416: 0x2313}  # what sets a value, and what reads it back


class SCD4x(CommandChip):
    """The chip with periodic measurement, its settings, and the rule of what may be asked meanwhile."""

    name = "scd4x"

    def power_on(self) -> None:
        """Wake up idle: it does not measure by itself."""
        super().power_on()
        self._period: float | None = None
        self._next = 0.0
        self._raw = (0, 0, 0)
        self._fresh = False
        self.settings = {0x2318: 0x05D5, 0x2322: 0, 0x2313: 1}

    def command(self, code: int, parameters: bytes) -> None:
        """Carry out a command of sections 3.5 to 3.9."""
        self._advance()
        if self._period is not None and code not in WHILE_MEASURING:
            raise nack()
        duration = 0.001
        if code in PERIOD_S:
            self._period = PERIOD_S[code]
            self._next = self.clock.monotonic() + self._period
            duration = 0.0
        elif code == 0x3F86:
            self._period, self._fresh, duration = None, False, 0.5
        elif code == 0xE4B8:
            self.answer = packed(0x8006 if self._fresh else 0x8000)
        elif code == 0xEC05:
            if self._fresh:
                self.answer, self._fresh = packed(*self._raw), False
        elif code == 0x3682:
            self.answer = packed(*SERIAL)
        elif code == 0x3646:
            self.power_on()
            duration = 0.02
        elif code in self.settings:
            self.answer = packed(self.settings[code])
        elif code in SETTINGS or code == 0xE000:
            word = int.from_bytes(parameters[:2], "big")
            if len(parameters) != 3 or check_sum(word) != parameters[2]:
                raise nack()  # section 3.2: in write direction the check sum is mandatory
            if code in SETTINGS:
                self.settings[SETTINGS[code]] = word
        else:
            raise nack()
        self.ready_at = self.clock.monotonic() + duration

    def _advance(self) -> None:
        """Measure, if a period has ended since the last look."""
        now = self.clock.monotonic()
        if self._period is None or now < self._next:
            return
        self._next += ((now - self._next) // self._period + 1) * self._period
        self._fresh = True
        if not self.frozen:
            dioxide = self.feel("carbon_dioxide", 10.0)
            celsius, percent = self.feel("temperature", 0.05), self.feel("humidity", 0.1)
            self._raw = (
                clamp(dioxide, 0, 40_000),
                clamp((celsius + 45) / 175 * 65535, 0, 65535),
                clamp(percent / 100 * 65535, 0, 65535),
            )
