"""Drivers that do what a test's script says, for what happens above the chip."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import pytest

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.base import Driver, Measurement, Streaming


class Scripted(Driver):
    """A thermometer: a number is measured, an exception is raised. When the script has ended, it goes on with the last step."""

    name = chip = "scripted"
    addresses = (0x40,)
    channels: ClassVar[tuple[str, ...]] = ("temperature",)
    frozen_after = 3

    def __init__(self, clock: VirtualClock, *script: float | Exception) -> None:
        super().__init__(None, 0x40, clock)  # type: ignore[arg-type]
        self.script = list(script)
        self.calls: list[tuple[float, str]] = []
        """When what was called."""
        self.measured: list[float] = []

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        return True

    def setup(self) -> None:
        self.calls.append((self.clock.monotonic(), "setup"))

    def read(self) -> Measurement:
        self.calls.append((self.clock.monotonic(), "read"))
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise type(step)(*step.args)  # anew, or its traceback would grow from test to test
        self.measured.append(step)
        return Measurement(self.clock.monotonic(), dict.fromkeys(self.channels, step))


class ScriptedQueue(Streaming):
    """A queue at 100 Hz: each drain gives so many conversions, or raises; ``start`` fails while it is told to."""

    name = chip = "queue"
    addresses = (0x40,)
    channels = ("acceleration_x",)
    rates = (100.0,)

    def __init__(self, clock: VirtualClock, drains: Iterable[int | Exception]) -> None:
        super().__init__(None, 0x40, clock)  # type: ignore[arg-type]
        self.drains = list(drains)
        self.failing: Exception | None = None
        self.starts: list[float] = []
        self.made = 0
        self.takes = 0.0
        """Seconds that the bus needs to fetch what there is."""

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        return True

    def setup(self) -> None:
        raise AssertionError("a queue is started, not set up")

    def read(self) -> Measurement:
        raise AssertionError("a queue is drained, not read")

    def start(self, hertz: float) -> None:
        self.starts.append(self.clock.monotonic())
        if self.failing is not None:
            raise type(self.failing)(*self.failing.args)

    def drain(self) -> list[Measurement]:
        step = self.drains.pop(0) if self.drains else 0
        if isinstance(step, Exception):
            raise type(step)(*step.args)  # anew, or its traceback would grow from test to test
        now = self.clock.monotonic()
        self.made += step
        self.clock.sleep(self.takes)
        # Each value tells its number, so that none can be taken for another
        first = self.made - step
        return [Measurement(now - (step - 1 - i) / 100, {"acceleration_x": (first + i) * 1e-4}) for i in range(step)]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, each line up to its first colon."""
    return [record.getMessage().split(":")[0] for record in caplog.records]
