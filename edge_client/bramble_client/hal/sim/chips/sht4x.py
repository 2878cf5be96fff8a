"""Sensirion SHT4x at command level, from data sheet SHT4x, version 6."""

from __future__ import annotations

from bramble_client.hal.sim.chips.base import nack
from bramble_client.hal.sim.chips.sensirion import CommandChip, packed
from bramble_client.hal.sim.chips.word_registers import clamp

MEASURE = {0xFD: 0.0069, 0xF6: 0.0037, 0xE0: 0.0013}  # sections 4.5 and 3.2, typical


class SHT4x(CommandChip):
    """The chip with its three precisions, serial number and reset."""

    name = "sht4x"
    command_bytes = 1

    def power_on(self) -> None:
        """Start in the idle state."""
        super().power_on()
        self._measuring = False
        self._raw = (0, 0)

    def command(self, code: int, parameters: bytes) -> None:
        """Carry out a command of section 4.5."""
        self._measuring = False
        if parameters:
            raise nack()
        if code in MEASURE:
            self.ready_at = self.clock.monotonic() + MEASURE[code]
            self._measuring = True
        elif code == 0x89:
            self.answer = packed(0x0F4A, 0x91C3)
        elif code == 0x94:
            self.power_on()
            self.ready_at = self.clock.monotonic() + 0.0006
        else:
            raise nack()

    def finish(self) -> None:
        """Measure (section 4.6, backwards)."""
        if self._measuring:
            self._measuring = False
            if not self.frozen:
                celsius, percent = self.feel("temperature", 0.02), self.feel("humidity", 0.04)
                self._raw = clamp((celsius + 45) / 175 * 65535, 0, 65535), clamp((percent + 6) / 125 * 65535, 0, 65535)
            self.answer = packed(*self._raw)
