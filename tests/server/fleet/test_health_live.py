"""A client's report on itself, from the socket to HTTP and Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server.pi import Pi
from tests.server.process import ServerProcess
from tests.waiting import wait_for

REPORT = {
    "sample_age": 2.5, "sample_every": 60.0, "samples_missed": 7, "sensors_gone": ["roof"], "sensors_doubted": ["attic", "cellar"],
    "windows_doubtful": 4,
    "soc_temperature": 48.5, "throttled": 5, "memory_free": 300.0, "disk": "read-only", "disk_free": 9000.0, "slow": True,
    "not_now": "hours", "not_before": 1.8e9, "alarms": 3,
    "in_use": {"small": "personal"}, "drifted": {},
    "first_training": 1.9e9,
}  # fmt: skip


def metrics(server: ServerProcess) -> str:
    content = server.get("/metrics")
    assert isinstance(content, bytes)
    return content.decode()


def test_a_report_is_shown_with_the_clocks_offset(server: ServerProcess, join: Callable[..., Pi]) -> None:
    pi = join("pi-health")
    assert server.api.clients()["pi-health"]["health"] is None
    before = time.time()
    assert pi.call("health", {**REPORT, "sent": before - 40}) == {"accepted": True}
    client = server.api.clients()["pi-health"]
    assert client["health"].pop("clock_offset") == pytest.approx(before - 40 - client["health_at"], abs=0.01)
    assert client["health"] == REPORT
    assert before <= client["health_at"] <= time.time()


def test_in_private_mode_what_clients_go_by_is_counted_and_of_nobody(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path, "--mode", "private", "--allow-simulated") as server,
        Pi(server.url, "pi-1") as one,
        Pi(server.url, "pi-2") as two,
    ):
        task = server.api.status()["task"]
        for pi, model in ((one, "personal"), (two, "global")):
            pi.call("health", {"sent": time.time(), "in_use": {task: model}})
        assert server.api.status()["tasks"][0]["in_use"] == {"personal": 1, "global": 1}
        assert all("in_use" not in client["health"] for client in server.api.clients().values())
        assert f'bramble_in_use{{model="personal",task="{task}"}} 1.0' in metrics(server)


def test_where_the_policy_says_so_a_round_follows_a_drift_and_once(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--on-drift", "round", "--min-clients", "1") as server, Pi(server.url, "pi-1") as pi:
        task = server.api.status()["task"]
        report = {"sent": time.time(), "in_use": {task: "global"}, "drifted": {task: 1.6e9}}
        pi.call("health", {**report, "drifted": {}})
        assert server.api.status()["running"] is None
        pi.call("health", report)
        number = pi.next("client_update")["round"]
        assert "the error of" in server.api.clients()["pi-1"]["remarks"][0]
        pi.call("health", report)
        pi.call("training_failed", {"round": number, "reason": "no data yet"})
        wait_for(lambda: server.api.round(number)["state"] == "abandoned", "the end")
        pi.call("health", report)
        assert server.api.status()["running"] is None


def test_without_a_policy_nothing_follows(server: ServerProcess, join: Callable[..., Pi]) -> None:
    pi = join("pi-drifts")
    task = server.api.status()["task"]
    pi.call("health", {"sent": time.time(), "in_use": {task: "global"}, "drifted": {task: 1.6e9}})
    assert server.api.status()["running"] is None
    assert 'bramble_client_drifted_timestamp_seconds{alone="' in metrics(server)


def test_prometheus_sees_who_is_there_in_base_units(server: ServerProcess, join: Callable[..., Pi]) -> None:
    pi = join("pi-warm")
    pi.call("health", {**REPORT, "sent": time.time()})
    text = metrics(server)
    assert 'bramble_client_soc_celsius{client="pi-warm"} 48.5' in text
    assert 'bramble_client_sensors_gone{client="pi-warm"} 1.0' in text
    assert 'bramble_client_sensors_doubted{client="pi-warm"} 2.0' in text
    assert 'bramble_client_samples_missed{client="pi-warm"} 7.0' in text
    assert 'bramble_client_alarms{client="pi-warm"} 3.0' in text
    assert 'bramble_client_disk{client="pi-warm",state="read-only"} 1.0' in text
    assert 'bramble_client_disk{client="pi-warm",state="ok"} 0.0' in text
    memory = next(line for line in text.splitlines() if line.startswith('bramble_client_memory_free_bytes{client="pi-warm"}'))
    assert float(memory.split()[1]) == 300 * 2**20


def test_what_a_client_cannot_tell_is_no_time_series(server: ServerProcess, join: Callable[..., Pi]) -> None:
    pi = join("pi-laptop")
    pi.call("health", {"sent": time.time()})
    assert 'soc_celsius{client="pi-laptop"}' not in metrics(server)
    assert 'clock_offset_seconds{client="pi-laptop"}' in metrics(server)


def test_a_client_that_left_is_known_to_be_down_and_keeps_its_last_report(server: ServerProcess, join: Callable[..., Pi]) -> None:
    pi = join("pi-gone")
    pi.call("health", {**REPORT, "sent": time.time()})
    pi.close()
    other = join("pi-stays")
    other.call("health", {"sent": time.time()})  # the server takes messages in order, so by now it has noticed
    while server.api.clients()["pi-gone"]["connected"]:
        other.call("health", {"sent": time.time()})
    text = metrics(server)
    assert 'bramble_client_up{client="pi-gone"} 0.0' in text
    assert 'bramble_client_soc_celsius{client="pi-gone"}' not in text, "what it last reported is no longer so"
    assert server.api.clients()["pi-gone"]["health"]["soc_temperature"] == 48.5


@pytest.mark.parametrize("report", [{}, {"sent": "now"}, {**REPORT, "sent": 1.0, "throttled": -1}, "fine", None])
def test_a_malformed_report_is_refused_by_name_and_changes_nothing(server: ServerProcess, join: Callable[..., Pi], report: object) -> None:
    pi = join("pi-odd")
    answer = pi.call("health", report)
    assert answer["accepted"] is False
    assert "health" in answer["reason"]
    assert server.api.clients()["pi-odd"]["health"] is None
