"""Lamp and buttons, driven by pin changes on gpiozero's own mock pins."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bramble_client.hal import gpio
from bramble_client.hal.gpio import PATTERNS, GpioError, Panel, Pins, Status, open_factory


def until(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


def test_the_pin_factory_is_named_in_the_environment_too(factory: Any) -> None:
    assert os.environ["GPIOZERO_PIN_FACTORY"] == "mock"


def test_without_lgpio_the_real_pins_are_refused_and_never_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "unset")
    monkeypatch.setenv("LG_WD", "unset")
    monkeypatch.setitem(sys.modules, "lgpio", None)
    with pytest.raises(GpioError, match="sudo apt install python3-lgpio"):
        open_factory("lgpio", tmp_path)
    assert os.environ["LG_WD"] == str(tmp_path)


def test_without_gpiozero_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "unset")
    monkeypatch.setitem(sys.modules, "gpiozero.pins.mock", None)
    with pytest.raises(GpioError, match=r"pip install bramble-fl\[gpio\]"):
        open_factory("mock")


def test_every_state_has_a_pattern_of_its_own() -> None:
    assert set(PATTERNS) == set(Status)
    assert len({pattern for pattern in PATTERNS.values()}) == len(Status)
    assert all(pattern[0] == 1 for pattern in PATTERNS.values()), "a change shows at once"


def test_the_lamp_repeats_its_pattern(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpio, "TICK_S", 0.005)
    panel = Panel(factory, Pins(led=17, label=None, reset=None))
    pin = factory.pin(17)
    for status, expected in ((Status.TRAINING, [1, 0, 1, 0, 1]), (Status.ERROR, [1, 0, 1, 0, 1, 0])):
        panel.show(status)
        pin.clear_states()
        assert until(lambda: len(pin.states) > 8)
        levels = [int(state.state) for state in pin.states]
        start = levels.index(1)
        assert levels[start : start + len(expected)] == expected
    panel.show(Status.CONNECTED)
    assert until(lambda: bool(pin.state))
    panel.close()
    assert not pin.state, "closing turns it off"


def test_a_short_press_of_the_label_button_is_told_when_it_comes_up_with_the_time_when_it_went_down(factory: Any) -> None:
    told: list[tuple[float, bool]] = []
    panel = Panel(factory, Pins(None, 27, None), on_press=lambda t, long: told.append((t, long)))
    pin = factory.pin(27)
    before = time.time()
    pin.drive_low()
    between = time.time()
    assert told == []
    pin.drive_high()
    assert until(lambda: bool(told))
    [(t, long)] = told
    assert before <= t <= between
    assert not long
    panel.close()


def test_a_long_press_is_told_once_and_before_the_button_comes_up(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpio, "LONG_S", 0.05)
    told: list[bool] = []
    panel = Panel(factory, Pins(None, 27, None), on_press=lambda t, long: told.append(long))
    pin = factory.pin(27)
    pin.drive_low()
    assert until(lambda: bool(told))
    pin.drive_high()
    panel.close()
    assert told == [True]


def test_the_reset_button_must_be_held(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpio, "HOLD_S", 0.05)
    reset = threading.Event()
    panel = Panel(factory, Pins(None, None, 22), on_reset=reset.set)
    pin = factory.pin(22)
    pin.drive_low()
    assert reset.wait(30)
    pin.drive_high()
    panel.close()


def test_a_short_press_resets_nothing(factory: Any) -> None:
    reset = threading.Event()
    panel = Panel(factory, Pins(None, None, 22), on_reset=reset.set)
    pin = factory.pin(22)
    pin.drive_low()
    pin.drive_high()
    panel.close()
    assert not reset.is_set()


def test_two_devices_on_one_pin_are_refused_and_nothing_stays_open(factory: Any) -> None:
    with pytest.raises(GpioError, match="two of them may be the same"):
        Panel(factory, Pins(17, 17, None))
    Panel(factory, Pins(17, None, None)).close()


def test_a_panel_without_anything_is_harmless(factory: Any) -> None:
    panel = Panel(factory, Pins(None, None, None))
    panel.show(Status.TRAINING)
    panel.close()
    panel.close()
