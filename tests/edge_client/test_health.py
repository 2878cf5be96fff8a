from __future__ import annotations

import math
from pathlib import Path

import pytest

from edge_client import health
from protocol import fields


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Pi's files, at the register."""
    monkeypatch.setattr(health, "THERMAL", tmp_path / "temp")
    monkeypatch.setattr(health, "THROTTLED", tmp_path / "get_throttled")
    monkeypatch.setattr(health, "MEMORY", tmp_path / "meminfo")
    (tmp_path / "temp").write_text("48312\n")
    (tmp_path / "get_throttled").write_text("50005\n")
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
    (machine / "get_throttled").write_text("who knows")
    (machine / "meminfo").write_text("MemTotal: 948304 kB\n")
    assert health.read(machine / "missing").keys() == {"health_load"}


def test_it_is_fit_to_travel_as_metrics(tmp_path: Path) -> None:
    found = fields.numbers(health.read(tmp_path), "metrics")
    assert all(math.isfinite(value) for value in found.values())
