"""Aosong AHT20 at command level, from data sheet AHT20, version 1.0.03."""

from __future__ import annotations

from bramble_client.hal.sim.chips.base import Chip
from bramble_client.hal.sim.chips.sensirion import check_sum_of
from bramble_client.hal.sim.chips.word_registers import clamp

MEASURE_S, INITIALISE_S, RESET_S = 0.075, 0.008, 0.018  # the data sheet has the maxima alone: 80, 10 and 20 ms
BUSY, CALIBRATED = 0x80, 0x08
EMPTY = (0x80000, 0x80000)


class AHT20(Chip):
    """The chip with its status, calibration, measurement and reset. It acknowledges while it works, and says that it is busy."""

    name = "aht20"
    checked = True

    def power_on(self) -> None:
        """Start idle and calibrated, with nothing measured: of all that such chips were seen to do, what tells the least."""
        self.status = 0x10 | CALIBRATED
        self._raw = EMPTY
        self._done_at: float | None = None
        self._deaf_until = self.clock.monotonic()

    def write(self, data: bytes) -> None:
        """Take a command of table 9; what is none, or comes while the chip works, is not heard."""
        now = self.clock.monotonic()
        self._refresh()
        if self._done_at is not None or now < self._deaf_until:
            return
        if data == b"\xac\x33\x00":
            self._done_at = now + MEASURE_S
        elif data == b"\xbe\x08\x00":
            self.status |= CALIBRATED
            self._deaf_until = now + INITIALISE_S
        elif data == b"\xba":
            self.power_on()
            self._deaf_until = now + RESET_S

    def read(self, length: int) -> bytes:
        """Give the status, the 40 bits of the latest measurement, and the check sum over them."""
        self._refresh()
        humidity, temperature = self._raw
        status = self.status | (BUSY if self._done_at is not None else 0)
        data = bytes((status,)) + (humidity << 20 | temperature).to_bytes(5, "big")
        data += bytes((check_sum_of(data),))
        return (data + b"\xff" * length)[:length]

    def _refresh(self) -> None:
        if self._done_at is None or self.clock.monotonic() < self._done_at:
            return
        self._done_at = None
        if not self.frozen:  # sections 6.1 and 6.2, backwards; table 1 and 2: resolution
            celsius, percent = self.feel("temperature", 0.01), self.feel("humidity", 0.024)
            self._raw = clamp(percent / 100 * 2**20, 0, 2**20 - 1), clamp((celsius + 50) / 200 * 2**20, 0, 2**20 - 1)
