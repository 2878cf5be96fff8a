"""Lamp and buttons of a running client: shows how its parts are, and stores what a person presses."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bramble_client.hal.gpio import GpioError, Panel, Status, open_factory
from bramble_client.machine.exchange import Exchange, Question
from bramble_client.worker import Worker
from bramble_protocol.clock import Clock

if TYPE_CHECKING:
    from bramble_client.settings import ClientSettings

log = logging.getLogger(__name__)

LOOK_S = 0.2
"""Seconds between two looks at how the client is."""


def open_pins(settings: ClientSettings, folder: Path) -> Any:
    """Return gpiozero's access to the pins: the Pi's own beside real sensors, simulated ones beside mock sensors.

    Parameters
    ----------
    folder
        Where the library may keep its pipes.

    Raises
    ------
    GpioError
        If what it needs is not installed, or the pins cannot be opened.
    """
    return open_factory("lgpio" if settings.sensors == "linux" else "mock", folder)


def open_panel(
    settings: ClientSettings,
    folder: Path,
    status: Callable[[], Status],
    on_label: Callable[[str, float], None],
    on_reset: Callable[[], None],
) -> FrontPanel | None:
    """Return the front panel of a client, or None where pins are not wanted or fail: who measures does so without a lamp, too."""
    if not settings.gpio:
        return None
    pins = None
    try:
        pins = open_pins(settings, folder)
        return FrontPanel(pins, Exchange(settings.classes), status, on_label, on_reset)
    except GpioError as error:
        log.error("this client runs without lamp and buttons: %s", error)
        if pins is not None:
            pins.close()
        return None


class FrontPanel(Worker):
    """Shows on the LED how the client is, and asks a person what it is unsure of, as long as it runs.

    Parameters
    ----------
    pins
        From ``open_pins``; closed when this one stops.
    exchange
        Says what a press means, and how the lamp asks.
    status
        Returns how the client is; asked several times a second, so that no part has to know of the lamp.
    on_label
        Takes a class, or none (an empty text), and from when on it holds, seconds since 1970-01-01 UTC.
    on_reset
        Called when the reset button has been held.
    clock
        By which presses are dated and a question goes on.

    Raises
    ------
    GpioError
        If another program holds one of the pins.
    """

    def __init__(
        self,
        pins: Any,
        exchange: Exchange,
        status: Callable[[], Status],
        on_label: Callable[[str, float], None],
        on_reset: Callable[[], None],
        clock: Clock = time,
    ) -> None:
        super().__init__("front panel")
        self._pins = pins
        self._exchange, self._lock = exchange, threading.Lock()
        self._status, self._clock = status, clock
        self._on_label, self._on_reset = on_label, on_reset
        self._panel = Panel(pins, on_press=self._pressed, on_reset=self._reset, clock=clock)

    def start(self) -> None:
        """Begin to show."""
        classes = self._exchange.classes
        log.info("lamp and buttons are ready%s", f"; the label button goes through {', '.join(classes)}" if classes else "")
        super().start()

    def ask(self, question: Question) -> None:
        """Ask a person what this is, unless something is asked already; the lamp shows nothing else until that ends."""
        with self._lock:
            self._exchange.ask(question, self._clock.time())

    def stop(self, timeout: float) -> bool:
        """Turn the LED off and release the pins."""
        ended = super().stop(timeout)
        try:
            self._panel.close()
            self._pins.close()
        except Exception as error:  # as in `run`; a client ends in good order all the same
            log.warning("lamp and buttons were not released (%s)", error)
        return ended

    def run(self) -> None:
        """Show how the client is, or what it asks, until told to stop."""
        shown: list[Status | None] = []
        failing = False
        while not self._stopping.wait(LOOK_S):
            status = None if self._exchange.asking(self._clock.time()) else self._status()
            if shown == [status]:
                continue
            try:
                if status is None:
                    self._panel.shine(self._lights())
                else:
                    self._panel.show(status)
                shown, failing = [status], False
            except Exception as error:  # gpiozero and lgpio raise their own kinds, without a common base
                if not failing:
                    log.error("the lamp cannot show %r (%s); it is tried again", "asking" if status is None else status.value, error)
                failing = True

    def _lights(self) -> Iterator[int]:
        """Yield whether the lamp is on now, by the clock: what a person sees and what a press means must not drift apart."""
        while True:
            yield self._exchange.light(self._clock.time()) or 0

    def _pressed(self, t: float, long: bool) -> None:
        if not self._exchange.classes:
            log.warning("the label button was pressed, but no classes are configured")
        with self._lock:
            said = self._exchange.pressed(t, long)
        for saying in said:
            log.info("label: %s", saying.label or "none")
            self._on_label(saying.label, saying.t)

    def _reset(self) -> None:
        with self._lock:
            self._exchange.forget()
        self._on_reset()
