from __future__ import annotations

import math
from pathlib import Path

import pytest

from bramble_client.machine import health
from bramble_protocol import fields


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Pi's files, at the register."""
    monkeypatch.setattr(health, "THERMAL", tmp_path / "temp")
    monkeypatch.setattr(health, "PLATFORM", tmp_path / "devices")
    monkeypatch.setattr(health, "HWMON", tmp_path / "hwmon")
    monkeypatch.setattr(health, "MEMORY", tmp_path / "meminfo")
    (tmp_path / "temp").write_text("48312\n")
    (tmp_path / "devices" / "soc:firmware").mkdir(parents=True)
    (tmp_path / "devices" / "soc:firmware" / "get_throttled").write_text("50005\n")
    (tmp_path / "meminfo").write_text("MemTotal:         948304 kB\nMemFree:   1 kB\nMemAvailable:     512000 kB\n")
    return tmp_path


def test_it_reads_what_a_pi_has(machine: Path) -> None:
    found = health.read(machine)
    assert found["health_cpu_temperature"] == 48.312
    assert found["health_throttled"] == 0x50005
    assert found["health_memory_available"] == 500
    assert found["health_disk_free"] > 0
    assert found["health_load"] >= 0


def test_what_a_machine_does_not_have_or_garbles_is_left_out(machine: Path) -> None:
    (machine / "temp").unlink()
    (machine / "devices" / "soc:firmware" / "get_throttled").write_text("who knows")
    (machine / "meminfo").write_text("MemTotal: 948304 kB\n")
    assert health.read(machine / "missing").keys() == {"health_load"}


def without_the_usual_node(machine: Path) -> None:
    (machine / "devices" / "soc:firmware" / "get_throttled").unlink()


def test_a_pi_5_calls_its_firmware_otherwise(machine: Path) -> None:
    without_the_usual_node(machine)
    node = machine / "devices" / "soc@107c000000:firmware"
    node.mkdir()
    (node / "get_throttled").write_text("50000\n")
    assert health.read(machine)["health_throttled"] == 0x50000


@pytest.mark.parametrize(("alarm", "bits"), [("0", 0.0), ("1", 1.0), ("", None)])
def test_where_the_firmware_says_nothing_the_supply_does(machine: Path, alarm: str, bits: float | None) -> None:
    without_the_usual_node(machine)
    for number, name in enumerate(("cpu_thermal", "rpi_volt")):
        device = machine / "hwmon" / f"hwmon{number}"
        device.mkdir(parents=True)
        (device / "name").write_text(f"{name}\n")
        (device / "in0_lcrit_alarm").write_text(f"{alarm}\n" if name == "rpi_volt" else "1\n")
    assert health.read(machine).get("health_throttled") == bits


def test_a_machine_that_cannot_tell_is_not_said_to_be_well(machine: Path) -> None:
    without_the_usual_node(machine)
    assert "health_throttled" not in health.read(machine)


def test_it_is_fit_to_travel_as_metrics(tmp_path: Path) -> None:
    found = fields.numbers(health.read(tmp_path), "metrics")
    assert all(math.isfinite(value) for value in found.values())
