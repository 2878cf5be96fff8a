"""What chips with a queue of conversions share: they convert at their own pace, whether anybody looks or not."""

from __future__ import annotations

from bramble_client.hal.sim.chips.base import RegisterChip


class PacedChip(RegisterChip):
    """A chip that converts at a steady rate from a moment on."""

    depth = 1
    """Conversions that are made up for at most; those before are overwritten anyway. More while a queue keeps them."""

    def power_on(self) -> None:
        """Reset, and stand still."""
        super().power_on()
        self._since: float | None = None
        self._made = 0

    def run(self, hertz: float | None) -> None:
        """Convert at this rate from now on, or no more."""
        self._period = 1.0 / hertz if hertz else 0.0
        self._since = self.clock.monotonic() if hertz else None
        self._made = 0

    def refresh(self) -> None:
        """Make the conversions that are due, each with the world as it was at its time."""
        if self._since is None:
            return
        due = int((self.clock.monotonic() - self._since) / self._period + 1e-9)
        missed = due - self._made
        for number in range(max(self._made, due - self.depth) + 1, due + 1):
            self.convert(self._since + number * self._period)
        self._made = due
        if missed > 0:
            self.converted(missed)

    def convert(self, at: float) -> None:
        """Make the conversion of a moment (the clock's time)."""

    def converted(self, count: int) -> None:
        """React to conversions: flags."""
