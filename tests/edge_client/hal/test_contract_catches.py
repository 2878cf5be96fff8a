"""The contract of drivers catches what it is for: each of these defects, made in the page's example, fails the test that names it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.contract import DriverContract, Wrapped
from bramble_client.hal.drivers.base import Driver
from bramble_client.hal.errors import BusClosed
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips.base import Chip

PAGE = (Path(__file__).parents[3] / "docs" / "add-a-sensor.md").read_text(encoding="utf-8")
DRIVER_TEXT, CHIP_TEXT = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[:2]


def build(text: str, *defects: tuple[str, str]) -> Any:
    for right, wrong in defects:
        assert text.count(right) == 1, f"the page does not say {right!r} once"
        text = text.replace(right, wrong)
    names: dict[str, Any] = {"__name__": "acme"}
    exec(compile(text, "acme", "exec"), names)
    return names["Acme1"]


def contract(driver: type[Driver], chip: type[Chip], **tolerance: float) -> DriverContract:
    """Return the contract over a driver and a chip, as a test module derives it."""
    return type("Contract", (DriverContract,), {"driver": driver, "chip": chip, "tolerance": tolerance or {"temperature": 0.1}})()  # type: ignore[no-any-return]


TESTS = [name for name in vars(DriverContract) if name.startswith("test_")]
IDENTIFY = "return Device(bus, address).read(IDENTITY) == 0xAC"
REFUSE = "if found != 0xAC:"
STEADY = "raw = steady(lambda: self._chip.read(TEMPERATURE), self)"
ONCE = "raw = self._chip.read(TEMPERATURE)"
KEPT = "if state != MARK.mask:"
AT = "at = self.clock.monotonic()"
BEGUN = "if not START.get(self._chip.read(CONTROL)):"

ORDER = """        self._chip.write(CONTROL, MARK.mask | START.mask)
        if not"""
AGAIN = (
    "self._chip = Device(self.bus, self.address)",
    "assert not hasattr(self, '_chip')\n        self._chip = Device(self.bus, self.address)",
)
TIRED = ("return Measurement(at", "self._fresh(raw)\n        return Measurement(at")

DEFECTS: dict[str, list[tuple[str, str]]] = {
    "test_its_channels_are_in_the_table": [('("temperature",)', '("temperature", "humidity")')],
    "test_it_recognises_its_chip_without_changing_it": [(IDENTIFY, "return False")],
    "test_it_reads_what_the_world_has": [("raw / 100)", "raw / 99)")],
    "test_setup_works_from_any_state": [AGAIN],
    "test_an_impostor_is_refused": [(REFUSE, "if False:")],
    "test_a_missing_chip_is_no_acknowledge": [(ORDER, "        self._order(False)\n        if not")],
    "test_a_brown_out_is_never_a_wrong_reading": [
        (ORDER, "        self._order(True)\n        if not"),
        (KEPT, "if False:"),
        (BEGUN, "if False:"),
    ],
    "test_a_flipped_bit_is_never_a_wrong_reading": [(STEADY, ONCE)],
    "test_a_frozen_chip_does_not_raise": [TIRED],
    "test_what_is_beyond_the_chip_is_no_reading": [("within(raw, *LIMITS, raw / 100)", "raw / 100")],
}
EXTRAS = """
class Acme1(Acme1):
    _last = None
    _orders = 0

    def _order(self, once):
        self._orders += 1
        if once and self._orders > 1:
            return
        try:
            self._chip.write(CONTROL, MARK.mask | START.mask)
        except Exception:
            raise NotReady("not now") from None

    def _fresh(self, raw):
        if raw == self._last:
            raise NotReady("the same again")
        self._last = raw
"""


def failures(subject: DriverContract) -> Iterator[str]:
    for name in TESTS:
        try:
            getattr(subject, name)()
        except Exception:
            yield name


def test_the_pages_example_passes_all_of_it() -> None:
    assert list(failures(contract(build(DRIVER_TEXT), build(CHIP_TEXT)))) == []
    assert len(TESTS) == 11


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_fails_the_test_that_is_there_for_it(name: str) -> None:
    driver = build(DRIVER_TEXT + EXTRAS, *DEFECTS[name])
    assert name in list(failures(contract(driver, build(CHIP_TEXT))))


def test_a_time_that_is_not_the_conversions_is_noticed() -> None:
    for wrong in ("at = self.clock.monotonic() + 100", "at = self.clock.monotonic() - 100"):
        driver = build(DRIVER_TEXT, (AT, wrong))
        assert "test_it_reads_what_the_world_has" in list(failures(contract(driver, build(CHIP_TEXT))))


def test_a_driver_that_cannot_tell_a_brown_out_is_noticed() -> None:
    driver = build(DRIVER_TEXT, (BEGUN, "if False:"), (KEPT, "if False:"), ("if START.get(state):", "if False:"))
    assert "test_a_brown_out_at_any_moment_is_never_a_wrong_reading" in list(failures(contract(driver, build(CHIP_TEXT))))


def test_a_chip_without_identity_may_be_anybody() -> None:
    driver = build(DRIVER_TEXT, (REFUSE, "if False:"), ('("temperature",)', '("temperature",)\n    certain = False'))
    assert "test_an_impostor_is_refused" not in list(failures(contract(driver, build(CHIP_TEXT))))


def test_a_chip_that_says_another_thing_than_its_driver_is_noticed() -> None:
    """The two are written apart from each other, so that a page that one of them misread shows."""
    chip = build(CHIP_TEXT, ('"big"', '"little"'))
    assert "test_it_reads_what_the_world_has" in list(failures(contract(build(DRIVER_TEXT), chip)))


def test_a_tolerance_that_is_too_narrow_for_the_chips_noise_fails() -> None:
    assert list(failures(contract(build(DRIVER_TEXT), build(CHIP_TEXT), temperature=1e-4)))


def test_a_stranger_may_be_refused_by_an_error_as_well() -> None:
    driver = build(
        DRIVER_TEXT, (IDENTIFY, f"if not ({IDENTIFY.removeprefix('return ')}): raise WrongChip('a stranger')\n        return True")
    )
    assert list(failures(contract(driver, build(CHIP_TEXT)))) == []


def test_a_wrapped_bus_is_the_bus_but_for_its_fault(clock: VirtualClock) -> None:
    bus = SimulatedBus(clock)
    wrapped = Wrapped(bus)
    assert wrapped.scan() == []
    wrapped.close()
    with pytest.raises(BusClosed):
        bus.scan()
