"""Rohm BH1750FVI at instruction level, from Rohm's technical note, 2009.04 rev. B."""

from __future__ import annotations

from bramble_client.hal.sim.chips.base import Chip
from bramble_client.hal.sim.chips.word_registers import clamp

POWER_DOWN, POWER_ON, RESET = 0x00, 0x01, 0x07
# "Instruction set architecture", and typical measurement times; H-resolution mode 2 counts half lux
CONTINUOUS = {0x10: (0.12, 1), 0x11: (0.12, 2), 0x13: (0.016, 1)}
ONE_TIME = {0x20: (0.12, 1), 0x21: (0.12, 2), 0x23: (0.016, 1)}
DEFAULT_TIME = 69
LEAST_TIME, MOST_TIME = 31, 254  # "adjust measurement result for influence of optical window"


class BH1750(Chip):
    """The chip with its modes, power states and measurement time."""

    name = "bh1750"

    def power_on(self) -> None:
        """Start powered down, with an empty data register."""
        self.powered = False
        self.count = 0
        self.time = DEFAULT_TIME
        self._mode: tuple[float, int] | None = None
        self._done_at: float | None = None
        self._once = False

    def write(self, data: bytes) -> None:
        """Take one instruction; further ones need a stop in between and are not heard."""
        self._refresh()
        if not data:
            return
        code = data[0]
        if code == POWER_DOWN:
            self.powered, self._done_at = False, None
        elif code == POWER_ON:
            self.powered = True
        elif code == RESET and self.powered:
            self.count = 0
        elif code in CONTINUOUS or code in ONE_TIME:
            self._once = code in ONE_TIME
            self._mode = (ONE_TIME if self._once else CONTINUOUS)[code]
            self.powered = True
            self._done_at = self.clock.monotonic() + self._duration(self._mode)
        elif code & 0xF8 == 0x40:
            self.time = self.time & 0x1F | (code & 0x07) << 5
        elif code & 0xE0 == 0x60:
            self.time = self.time & 0xE0 | code & 0x1F

    def read(self, length: int) -> bytes:
        """Give the data register."""
        self._refresh()
        return (self.count.to_bytes(2, "big") * (length // 2 + 1))[:length]

    def _duration(self, mode: tuple[float, int]) -> float:
        return mode[0] * self._effective_time() / DEFAULT_TIME

    def _effective_time(self) -> int:
        # Between its two halves, and after a damaged instruction, the register may hold a time that the chip does not have
        return clamp(self.time, LEAST_TIME, MOST_TIME)

    def _refresh(self) -> None:
        now = self.clock.monotonic()
        if self._done_at is None or self._mode is None or now < self._done_at:
            return
        if not self.frozen:
            lux = self.feel("illuminance")
            self.count = clamp(lux * 1.2 * self._mode[1] * self._effective_time() / DEFAULT_TIME, 0, 0xFFFF)
        if self._once:  # "measurement procedure": the chip goes to power-down by itself
            self.powered, self._done_at = False, None
        else:
            period = self._duration(self._mode)
            self._done_at += ((now - self._done_at) // period + 1) * period
