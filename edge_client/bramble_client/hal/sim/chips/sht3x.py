"""Sensirion SHT3x at command level, from data sheet SHT3x-DIS, version 5."""

from __future__ import annotations

from bramble_client.hal.sim.chips.base import nack
from bramble_client.hal.sim.chips.sensirion import CommandChip, packed
from bramble_client.hal.sim.chips.word_registers import clamp

# Table 9, without clock stretching; table 4: typical durations
SINGLE_SHOT = {0x2400: 0.0125, 0x240B: 0.0045, 0x2416: 0.0025}


class SHT3x(CommandChip):
    """The chip in single-shot mode, with status, heater and resets."""

    name = "sht3x"

    def power_on(self) -> None:
        """Start in the idle state; the status tells of the reset until it is cleared (section 4.11)."""
        super().power_on()
        self.status = 0x8010
        self._measuring = False
        self._raw = (0, 0)

    def command(self, code: int, parameters: bytes) -> None:
        """Carry out a command of section 4."""
        self._measuring = False
        if code in SINGLE_SHOT:
            self.ready_at = self.clock.monotonic() + SINGLE_SHOT[code]
            self._measuring = True
        elif code == 0xF32D:
            self.answer = packed(self.status)
        elif code == 0x3041:
            self.status &= ~0x8C10
        elif code == 0x30A2:
            self.power_on()
            self.ready_at = self.clock.monotonic() + 0.0005
        elif code == 0x3093:
            pass  # section 4.8: ends periodic measuring, which single shots never begin
        elif code in (0x306D, 0x3066):
            self.status = self.status & ~0x2000 | (code == 0x306D) << 13
        else:
            self.status |= 0x0002  # section 4.11: the last command was not processed
            raise nack()

    def finish(self) -> None:
        """Measure (section 4.13, backwards)."""
        if self._measuring:
            self._measuring = False
            if not self.frozen:
                celsius, percent = self.feel("temperature", 0.02), self.feel("humidity", 0.04)
                self._raw = clamp((celsius + 45) / 175 * 65535, 0, 65535), clamp(percent / 100 * 65535, 0, 65535)
            self.answer = packed(*self._raw)
