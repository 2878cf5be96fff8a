"""Lamp and buttons on a Pi's pins, over gpiozero: what a client says and hears without a screen.

The status LED repeats a pattern of tenths of a second:

=========== ================================= ==============================================
state       pattern                           meaning
=========== ================================= ==============================================
connecting  on 0.5 s, off 0.5 s               looking for the server
connected   on                                connected, nothing to do
training    on 0.1 s, off 0.1 s               a round of training runs
error       two flashes, then a second off    see the log
alarm       three long flashes, then off      readings are unlike all that was learnt
=========== ================================= ==============================================

A person gives labels on the spot by the label button; :mod:`bramble_client.machine.exchange` says what a press means, and how the lamp
asks.
The reset button forgets local data and model; it must be held for five seconds, so that nobody does so in passing.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bramble_client.hal.errors import SensorError
from bramble_protocol.clock import Clock

if TYPE_CHECKING:
    from gpiozero.pins import Factory  # type: ignore[import-untyped]

logger = logging.getLogger(__name__)

TICK_S = 0.1
HOLD_S = 5.0
LONG_S = 1.0
"""Seconds from which on a press of the label button is a long one."""
BOUNCE_S = 0.05


class GpioError(SensorError):
    """The pins cannot be used; the text says what to install or change."""


class Status(StrEnum):
    """What the LED can say."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    TRAINING = "training"
    ERROR = "error"
    ALARM = "alarm"


PATTERNS: dict[Status, tuple[int, ...]] = {
    Status.CONNECTING: (1, 1, 1, 1, 1, 0, 0, 0, 0, 0),
    Status.CONNECTED: (1,),
    Status.TRAINING: (1, 0),
    Status.ERROR: (1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    Status.ALARM: (1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0),
}


@dataclass(frozen=True)
class Pins:
    """Where lamp and buttons are, by Broadcom numbers; None for one that is not there."""

    led: int | None = 17
    label: int | None = 27
    reset: int | None = 22


def open_factory(kind: Literal["mock", "lgpio"], folder: Path | None = None) -> Factory:
    """Return gpiozero's access to the pins: ``lgpio`` for real ones, ``mock`` for none. The kind is named, never guessed.

    Parameters
    ----------
    folder
        Where lgpio may write its notification pipes; it takes the working directory otherwise.

    Raises
    ------
    GpioError
        If what it needs is not installed, or the pins cannot be opened.
    """
    os.environ["GPIOZERO_PIN_FACTORY"] = kind
    if folder is not None:
        os.environ["LG_WD"] = str(folder)
    try:
        if kind == "mock":
            from gpiozero.pins.mock import MockFactory  # type: ignore[import-untyped]

            return MockFactory()
        from gpiozero.pins.lgpio import LGPIOFactory  # type: ignore[import-untyped]

        return LGPIOFactory()
    except ModuleNotFoundError as cause:
        remedy = {"lgpio": "sudo apt install python3-lgpio, with a venv that sees the system's packages"}
        raise GpioError(f"{cause.name} is not installed: {remedy.get(str(cause.name), 'pip install bramble-fl[gpio]')}") from cause
    except Exception as cause:
        # gpiozero and lgpio raise their own kinds, without a common base
        raise GpioError(
            f"the pins cannot be opened ({cause}); add the user to the group gpio, and check that this is a Raspberry Pi"
        ) from cause


class Panel:
    """Lamp and buttons of one client.

    Parameters
    ----------
    factory
        From ``open_factory``.
    pins
        Where they are.
    on_press
        Takes when the label button went down (seconds since 1970-01-01 UTC), and whether it was held for ``LONG_S``. A short press is
        told when the button comes up, a long one as soon as it is one.
    on_reset
        Called once when the reset button has been held.
    clock
        Dates presses.
    """

    def __init__(
        self,
        factory: Factory,
        pins: Pins = Pins(),
        *,
        on_press: Callable[[float, bool], None] = lambda t, long: None,
        on_reset: Callable[[], None] = lambda: None,
        clock: Clock = time,
    ) -> None:
        from gpiozero import LED, Button  # type: ignore[import-untyped]

        self._factory = factory
        self._on_press, self._on_reset, self._clock = on_press, on_reset, clock
        self._down: float | None = None
        self._opened: list[Any] = []
        self._led: Any = None
        try:
            if pins.led is not None:
                self._led = self._keep(LED(pins.led, pin_factory=factory))
                self._led.source_delay = TICK_S
            if pins.label is not None:
                button = self._keep(Button(pins.label, bounce_time=BOUNCE_S, hold_time=LONG_S, pin_factory=factory))
                button.when_pressed, button.when_held, button.when_released = self._pressed, self._held, self._released
            if pins.reset is not None:
                button = self._keep(Button(pins.reset, hold_time=HOLD_S, pin_factory=factory))
                button.when_held = self._reset
        except Exception as cause:
            self.close()
            raise GpioError(f"pins {pins} cannot be used ({cause}); two of them may be the same, or another program holds one") from cause
        self.show(Status.CONNECTING)

    def show(self, status: Status) -> None:
        """Let the LED say this from now on."""
        self.shine(cycle(PATTERNS[status]))

    def shine(self, levels: Iterator[int]) -> None:
        """Let the LED be on and off as these say, a tenth of a second each."""
        if self._led is not None:
            self._led.source = levels

    def close(self) -> None:
        """Turn the LED off and release the pins; closing twice does no harm."""
        if self._led is not None:
            self._led.source = None
            self._led.off()
        for device in self._opened:
            device.close()
        self._opened.clear()
        self._led = None

    def _keep(self, device: Any) -> Any:
        self._opened.append(device)
        return device

    def _pressed(self) -> None:
        self._down = self._clock.time()

    def _held(self) -> None:
        self._tell(long=True)

    def _released(self) -> None:
        self._tell(long=False)

    def _tell(self, long: bool) -> None:
        down, self._down = self._down, None
        if down is not None:  # else it was told as a long one
            self._on_press(down, long)

    def _reset(self) -> None:
        logger.warning("the reset button was held: forgetting local data and model")
        self._on_reset()
