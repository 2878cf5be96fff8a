"""Sensirion SHTC3 at command level, from data sheet SHTC3, version 4."""

from __future__ import annotations

from bramble_client.hal.sim.chips.base import nack
from bramble_client.hal.sim.chips.sensirion import CommandChip, packed
from bramble_client.hal.sim.chips.word_registers import clamp

# Table 9, and typical durations of table 5; the second of each pair gives the humidity first
NORMAL_S, LOW_POWER_S = 0.0108, 0.0007
TEMPERATURE_FIRST = {0x7866: NORMAL_S, 0x609C: LOW_POWER_S}
HUMIDITY_FIRST = {0x58E0: NORMAL_S, 0x401A: LOW_POWER_S}
START_S = 0.00018
SLEEP, WAKE_UP, SOFT_RESET, IDENTITY = 0xB098, 0x3517, 0x805D, 0xEFC8
KIND = 0x0887  # table 15: xxxx'1xxx'xx00'0111b


class SHTC3(CommandChip):
    """The chip without clock stretching: its two modes, sleep, and reset."""

    name = "shtc3"

    def power_on(self) -> None:
        """Start in the idle state, awake (section 5.1)."""
        super().power_on()
        self.asleep = False
        self._first: tuple[float, bool] | None = None
        self._raw = (0, 0)

    def command(self, code: int, parameters: bytes) -> None:
        """Carry out a command of section 5; asleep, the chip hears one alone."""
        self._first = None
        if code == WAKE_UP:
            self.ready_at = self.clock.monotonic() + START_S if self.asleep else self.ready_at
            self.asleep = False
        elif self.asleep or parameters:
            raise nack()
        elif code in TEMPERATURE_FIRST or code in HUMIDITY_FIRST:
            seconds = {**TEMPERATURE_FIRST, **HUMIDITY_FIRST}[code]
            self.ready_at = self.clock.monotonic() + seconds
            self._first = (seconds, code in HUMIDITY_FIRST)
        elif code == SLEEP:
            self.asleep = True
        elif code == SOFT_RESET:
            self.power_on()
            self.ready_at = self.clock.monotonic() + START_S
        elif code == IDENTITY:
            self.answer = packed(KIND)
        else:
            raise nack()

    def finish(self) -> None:
        """Measure (section 5.11, backwards); less exactly in low-power mode (tables 1 and 2: repeatability)."""
        if self._first is None:
            return
        (seconds, swapped), self._first = self._first, None
        if not self.frozen:
            rough = 2.5 if seconds == LOW_POWER_S else 1.0
            celsius, percent = self.feel("temperature", 0.05 * rough), self.feel("humidity", 0.05 * rough)
            self._raw = clamp((celsius + 45) / 175 * 65536, 0, 65535), clamp(percent / 100 * 65536, 0, 65535)
        self.answer = packed(*reversed(self._raw)) if swapped else packed(*self._raw)
