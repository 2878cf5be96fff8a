"""The client's report on itself."""

from __future__ import annotations

from typing import Any

import pytest

from bramble_protocol import ProtocolError
from bramble_protocol.health import Health, throttling

FULL = {
    "sent": 1.7e9, "sample_age": 3.5, "sample_every": 60.0, "soc_temperature": 51.5, "throttled": 0x50005, "memory_free": 310.0,
    "disk_free": 20_480.0, "samples_missed": 3, "sensors_gone": ["bme280", "roof"], "sensors_doubted": ["attic"], "disk": "read-only",
    "windows_doubtful": 12, "slow": True, "not_now": "hours", "not_before": 1.8e9, "alarms": 3,
    "in_use": {"climate": "personal", "room": "baseline"}, "drifted": {"climate": 1.6e9},
    "first_training": 1.7e9, "bytes_left": 5_000_000, "hours_until": 1.7e9,
}  # fmt: skip


def test_a_report_survives_the_wire() -> None:
    report = Health.from_wire(FULL)
    assert report.soc_temperature == 51.5
    assert report.to_wire() == FULL
    assert Health.from_wire(report.to_wire()) == report


def test_a_laptop_may_leave_out_what_it_cannot_tell() -> None:
    assert Health.from_wire({"sent": 5}) == Health(sent=5.0)
    assert Health.from_wire({"sent": 5, "throttled": None, "sample_age": None}) == Health(sent=5.0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sent": -1}, "health.sent"),
        ({"sent": "now"}, "health.sent"),
        ({"sample_age": float("nan")}, "health.sample_age"),
        ({"sample_every": -60}, "health.sample_every"),
        ({"soc_temperature": 5000}, "health.soc_temperature"),
        ({"throttled": 1.5}, "health.throttled"),
        ({"first_training": -1}, "health.first_training"),
        ({"bytes_left": 0.5}, "health.bytes_left"),
        ({"hours_until": "late"}, "health.hours_until"),
        ({"windows_doubtful": -1}, "health.windows_doubtful"),
        ({"windows_doubtful": 0.5}, "health.windows_doubtful"),
        ({"throttled": True}, "health.throttled"),
        ({"throttled": 2**32}, "health.throttled"),
        ({"memory_free": []}, "health.memory_free"),
        ({"disk_free": 1e13}, "health.disk_free"),
        ({"disk": "wet"}, "health.disk"),
        ({"disk": ["full"]}, "health.disk"),
        ({"slow": 1}, "health.slow"),
        ({"not_now": "tired"}, "health.not_now"),
        ({"not_now": ["hours"]}, "health.not_now"),
        ({"not_before": -1}, "health.not_before"),
        ({"in_use": {"climate": "none"}}, "health.in_use"),
        ({"in_use": {"Climate": "global"}}, "health.in_use"),
        ({"in_use": ["climate"]}, "health.in_use"),
        ({"in_use": {f"task-{n}": "global" for n in range(17)}}, "health.in_use"),
        ({"drifted": {"climate": -1}}, "health.drifted"),
        ({"drifted": {"climate": None}}, "health.drifted"),
        ({"samples_missed": -1}, "health.samples_missed"),
        ({"samples_missed": 0.5}, "health.samples_missed"),
        ({"sensors_gone": "roof"}, "health.sensors_gone"),
        ({"sensors_gone": ["roof\nroot: all is well"]}, "health.sensors_gone"),
        ({"sensors_gone": ["roof"] * 33}, "health.sensors_gone"),
        ({"sensors_doubted": {"roof": 1}}, "health.sensors_doubted"),
        ({"sensors_doubted": ["\x1b[31m"]}, "health.sensors_doubted"),
        ({"mood": "fine"}, "mood"),
    ],
)
def test_a_bad_field_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ProtocolError, match=named):
        Health.from_wire({**FULL, **change})


@pytest.mark.parametrize("value", [None, [], "fine", {}])
def test_what_is_no_report_is_refused(value: Any) -> None:
    with pytest.raises(ProtocolError, match="health"):
        Health.from_wire(value)


@pytest.mark.parametrize(
    ("bits", "said"), [(0, "no"), (0x1, "under-voltage"), (0x50000, "under-voltage before, throttled before"), (0x4, "throttled")]
)
def test_throttling_is_said_in_words(bits: int, said: str) -> None:
    assert throttling(bits) == said


def test_a_server_of_version_1_is_sent_the_fields_that_it_knows() -> None:
    told = Health.from_wire(FULL).to_wire(1)
    assert set(FULL) - set(told) == {
        *(
            "sensors_doubted",
            "windows_doubtful",
            "disk",
            "slow",
            "not_now",
            "not_before",
            "alarms",
            "in_use",
            "drifted",
            "first_training",
            "bytes_left",
            "hours_until",
        )
    }
    assert Health.from_wire(told).to_wire(1) == told
