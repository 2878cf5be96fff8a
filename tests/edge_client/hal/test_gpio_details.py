"""Lamp and buttons in detail: which pins, which rhythm, what is let go, and what is said when the pins cannot be had."""

from __future__ import annotations

import sys
from itertools import groupby, islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bramble_client.hal.gpio import PATTERNS, TICK_S, GpioError, Panel, Pins, Status, open_factory

PAGE = (Path(__file__).parents[3] / "docs" / "sensors.md").read_text(encoding="utf-8")


def rhythm(status: Status) -> list[tuple[int, float]]:
    """What the lamp does: on or off, and for how many seconds."""
    return [(on, round(len(list(ticks)) * TICK_S, 3)) for on, ticks in groupby(PATTERNS[status])]


@pytest.mark.parametrize(
    ("status", "expected", "words"),
    [
        (Status.CONNECTING, [(1, 0.5), (0, 0.5)], "| half a second on, half a second off | looking for the server |"),
        (Status.CONNECTED, [(1, 0.1)], "| on | connected |"),
        (Status.TRAINING, [(1, 0.1), (0, 0.1)], "| flickering, ten times a second | training |"),
        (Status.ERROR, [(1, 0.1), (0, 0.1), (1, 0.1), (0, 1.0)], "| two flashes, then a pause | an error: see the log |"),
        (
            Status.ALARM,
            [(1, 0.4), (0, 0.1), (1, 0.4), (0, 0.1), (1, 0.4), (0, 0.6)],
            "| three long flashes, then a pause | an alarm: readings unlike all that was learnt |",
        ),
    ],
)
def test_each_state_has_the_rhythm_that_the_page_describes(status: Status, expected: list[tuple[int, float]], words: str) -> None:
    assert rhythm(status) == expected
    assert words in PAGE


def test_the_pins_are_those_of_the_page() -> None:
    pins = Pins()
    assert f"an LED at GPIO {pins.led}, a label button at {pins.label}, a reset button at {pins.reset}" in PAGE


def test_the_lamp_is_told_a_new_level_at_every_tick_and_is_off_in_the_end(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpiozero  # type: ignore[import-untyped]

    class LED:
        source_delay, source, calls = 0.0, iter(()), list[str]()

        def __init__(self, pin: int, pin_factory: Any) -> None:
            assert pin == 17

        def off(self) -> None:
            self.calls.append("off" if self.source is None else "off, and on again at the next tick")

        def close(self) -> None:
            self.calls.append("close")

    monkeypatch.setattr(gpiozero, "LED", LED)
    panel = Panel(factory, Pins(17, None, None))
    led = panel._led
    assert led.source_delay == TICK_S
    assert list(islice(led.source, 20)) == [*PATTERNS[Status.CONNECTING]] * 2, "it looks for a server from the start"
    panel.show(Status.ERROR)
    assert list(islice(led.source, 13)) == [*PATTERNS[Status.ERROR]]
    panel.close()
    panel.close()
    assert led.calls == ["off", "close"]


def test_the_reset_button_is_held_for_five_seconds_and_bounces_are_not_presses(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpiozero

    made: dict[int, dict[str, Any]] = {}

    class Button:
        def __init__(self, pin: int, **options: Any) -> None:
            made[pin] = options

        def close(self) -> None:
            made[-1] = {}

    monkeypatch.setattr(gpiozero, "Button", Button)
    Panel(factory, Pins(None, 27, 22)).close()
    assert made[22]["hold_time"] == 5.0
    assert made[27]["bounce_time"] == 0.05
    assert made[22]["pin_factory"] is made[27]["pin_factory"] is factory
    assert -1 in made, "closed with the panel"


def test_pins_are_let_go_when_a_panel_closes_and_when_it_could_not_open(factory: Any) -> None:
    Panel(factory).close()
    panel = Panel(factory)
    panel.close()
    assert panel._opened == []
    with pytest.raises(GpioError, match="another program holds one"):
        Panel(factory, Pins(5, 6, 5))
    Panel(factory, Pins(5, 6, None)).close()


def test_a_closed_panel_shows_nothing_more(factory: Any) -> None:
    panel = Panel(factory, Pins(17, None, None))
    panel.close()
    panel.show(Status.TRAINING)
    assert not factory.pin(17).state


def test_the_real_pins_are_lgpios(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "unset")
    opened = object()
    module = ModuleType("gpiozero.pins.lgpio")
    module.LGPIOFactory = lambda: opened  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gpiozero.pins.lgpio", module)
    assert open_factory("lgpio") is opened


def test_pins_that_may_not_be_opened_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "unset")
    module = ModuleType("gpiozero.pins.lgpio")

    def refuse() -> None:
        raise RuntimeError("can not open gpiochip")

    module.LGPIOFactory = refuse  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gpiozero.pins.lgpio", module)
    with pytest.raises(GpioError, match=r"\(can not open gpiochip\); add the user to the group gpio, and check that this is a"):
        open_factory("lgpio")


def test_a_reset_is_logged(factory: Any, caplog: pytest.LogCaptureFixture) -> None:
    Panel(factory, Pins(None, None, None))._reset()
    assert caplog.messages == ["the reset button was held: forgetting local data and model"]
