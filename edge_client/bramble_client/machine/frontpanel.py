"""Lamp and buttons of a running client: shows how its parts are, and stores what a person presses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bramble_client.hal.gpio import GpioError, Panel, Status, open_factory
from bramble_client.worker import Worker

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
        return FrontPanel(pins, settings.classes, status, on_label, on_reset)
    except GpioError as error:
        log.error("this client runs without lamp and buttons: %s", error)
        if pins is not None:
            pins.close()
        return None


class FrontPanel(Worker):
    """Shows on the LED how the client is, as long as it runs.

    Parameters
    ----------
    pins
        From ``open_pins``; closed when this one stops.
    classes
        What the label button goes through.
    status
        Returns how the client is; asked several times a second, so that no part has to know of the lamp.
    on_label
        Takes a class and the time when the button was pressed, seconds since 1970-01-01 UTC.
    on_reset
        Called when the reset button has been held.

    Raises
    ------
    GpioError
        If another program holds one of the pins.
    """

    def __init__(
        self,
        pins: Any,
        classes: Sequence[str],
        status: Callable[[], Status],
        on_label: Callable[[str, float], None],
        on_reset: Callable[[], None],
    ) -> None:
        super().__init__("front panel")
        self._pins = pins
        self._classes = classes
        self._status = status
        self._panel = Panel(pins, classes=classes, on_label=on_label, on_reset=on_reset)

    def start(self) -> None:
        """Begin to show."""
        log.info("lamp and buttons are ready%s", f"; the label button goes through {', '.join(self._classes)}" if self._classes else "")
        super().start()

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
        """Show how the client is until told to stop."""
        shown: Status | None = None
        failing = False
        while not self._stopping.wait(LOOK_S):
            status = self._status()
            if status is shown:
                continue
            try:
                self._panel.show(status)
                shown, failing = status, False
            except Exception as error:  # gpiozero and lgpio raise their own kinds, without a common base
                if not failing:
                    log.error("the lamp cannot show %r (%s); it is tried again", status.value, error)
                failing = True
