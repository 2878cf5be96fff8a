"""What the play lets its units reach and take, from what the inventory says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins import load

filters = load("bramble_filters", "filter/bramble.py")


@pytest.mark.parametrize(
    ("url", "reach"),
    [
        ("https://192.168.1.10:5000", ["192.168.1.10"]),
        ("https://[fd00::10]:5000", ["fd00::10"]),
        ("https://[fe80::10%25eth0]:5000", ["fe80::10"]),
        ("http://10.0.0.1:3128/", ["10.0.0.1"]),
        ("https://hub.local:5000", filters.PRIVATE),
        ("https://hub:5000", filters.PRIVATE),
        ("https://bramble.example.org:5000", []),
    ],
)
def test_a_unit_reaches_the_address_that_the_inventory_has_and_no_less_than_a_name_may_lead_to(url: str, reach: list[str]) -> None:
    assert filters.bramble_reach(url) == reach


def test_who_serves_its_own_machine_reaches_that_too() -> None:
    assert filters.bramble_reach("https://localhost:5000", ["localhost"]) == ["localhost"]
    assert filters.bramble_reach(["https://192.168.1.10", "mqtt://192.168.1.5"]) == ["192.168.1.10", "192.168.1.5"]
    assert filters.bramble_reach(["https://192.168.1.10", "mqtt://home.example"]) == [], "which may lead anywhere"
    assert filters.bramble_reach("https://192.168.1.10:5000", ["localhost"]) == ["localhost", "192.168.1.10"]


def test_what_is_no_address_is_refused_before_a_host_is_locked_out() -> None:
    assert filters.bramble_networks([*filters.PRIVATE, "fd00::1", "0.0.0.0/0"]).startswith("localhost 10.0.0.0/8 ")
    with pytest.raises(ValueError, match="is neither an address nor a network: write client_reach"):
        filters.bramble_networks(["192.168.1.10", "hub.local"])


def test_memory_follows_the_size_of_the_graphs_of_the_fleets_own(tmp_path: Path) -> None:
    (tmp_path / "mine.tflite").write_bytes(b"x" * (3 << 20) + b"x")
    (tmp_path / "other.tflite").write_bytes(b"x" * (1 << 20))
    graphs = [{"graph": str(tmp_path / name)} for name in ("mine.tflite", "other.tflite", "none.tflite")]
    assert filters.bramble_memory(600, graphs, 32) == 600 + (4 + 1) * 32
    assert filters.bramble_memory(400, [], 10) == filters.bramble_memory(400, graphs[2:], 10) == 400


def test_a_server_is_told_the_names_that_it_would_not_answer_to() -> None:
    names = ["Hub", "hub", "10.0.0.7", "fe80::1%eth0", "localhost", "127.0.0.1", "hub.local", "hub.garden.example"]
    assert filters.bramble_unknown_hosts(names) == ["hub", "hub.garden.example"]
