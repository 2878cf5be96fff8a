"""A machine that is hot or throttled trains slowly, and says so once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bramble_client.machine import health
from bramble_client.machine.strain import Strain


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Pi's files, at the register."""
    monkeypatch.setattr(health, "THERMAL", tmp_path / "temp")
    monkeypatch.setattr(health, "PLATFORM", tmp_path / "devices")
    monkeypatch.setattr(health, "HWMON", tmp_path / "hwmon")
    (tmp_path / "devices" / "soc:firmware").mkdir(parents=True)
    return tmp_path


def is_now(machine: Path, bits: str, millidegrees: int = 50_000) -> None:
    (machine / "devices" / "soc:firmware" / "get_throttled").write_text(bits)
    (machine / "temp").write_text(str(millidegrees))


@pytest.mark.parametrize(
    ("bits", "millidegrees", "said"),
    [
        ("0", 80_500, "hot (80 °C)"),
        ("4", 50_000, "throttled"),
        ("50008", 70_000, "hot"),
        ("1", 50_000, "under-voltage"),
    ],
)
def test_what_it_is_is_said_once_and_that_it_is_over(
    machine: Path, caplog: pytest.LogCaptureFixture, bits: str, millidegrees: int, said: str
) -> None:
    caplog.set_level("INFO")
    told: list[bool] = []
    strain = Strain(machine, lambda: told.append(strain.slow))
    is_now(machine, "0")
    assert not strain()
    is_now(machine, bits, millidegrees)
    assert [strain(), strain()] == [True, True]
    is_now(machine, "50000")
    assert not strain()
    assert told == [True, False]
    assert caplog.text.count(f"this machine is {said}: it trains at half its pace until it is better") == 1
    assert caplog.text.count("this machine is well again") == 1


def test_when_nothing_is_trained_nothing_is_slow(machine: Path) -> None:
    is_now(machine, "4")
    strain = Strain(machine)
    assert strain()
    strain.over()
    assert not strain.slow


def test_a_machine_that_tells_nothing_is_not_strained(machine: Path) -> None:
    assert not Strain(machine)()
