"""What Prometheus sees."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bramble_protocol.graph import Metric
from bramble_protocol.health import DISK, Health
from bramble_protocol.messages import Handshake
from bramble_server.fleet.plausibility import Needs
from bramble_server.fleet.registry import Registry
from bramble_server.metrics import REFUSALS, Metrics, Traffic

METRIC = Metric("RMSE", "°C", "sqrt", "persistence: it will be as now")
TASKS = {"small": Needs()}
SMALL = (("task", "small"),)
PARTS: dict[str, dict[str, float | None]] = {"pi-1": {"replied": 999.0}, "pi-2": {"replied": None}}


def made(clients: int = 0) -> Metrics:
    registry = Registry(TASKS)
    for number in range(clients):
        registry.join(Handshake(2, f"pi-{number}"), f"s{number}", "10.0.0.1")
    return Metrics({"small": METRIC}, registry)


def values(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples}


def test_every_series_is_there_from_the_start() -> None:
    seen = values(made(3))
    assert seen["bramble_clients_connected", ()] == 3
    for state in ("committed", "abandoned"):
        assert seen["bramble_rounds_total", (("state", state), *SMALL)] == 0
    for answer in ("accepted", *REFUSALS):
        assert seen["bramble_updates_total", (("answer", answer),)] == 0


def test_rounds_are_counted_by_their_end_and_committed_ones_timed() -> None:
    metrics = made()
    metrics.round_ended("small", "committed", 0.3, {"test_error": 2.0, "test_baseline": 4.0}, PARTS, 1000.0, 1)
    metrics.round_ended("small", "abandoned", 60.0, {"test_error": 9.0}, PARTS, 1000.0, 1)
    seen = values(metrics)
    assert seen["bramble_rounds_total", (("state", "committed"), *SMALL)] == 1
    assert seen["bramble_rounds_total", (("state", "abandoned"), *SMALL)] == 1
    assert seen["bramble_round_seconds_count", SMALL] == 1
    assert seen["bramble_round_seconds_sum", SMALL] == 0.3


def test_the_error_is_the_tasks_metric_by_name_and_unit_and_there_is_none_before_it_is_known() -> None:
    metrics = made()
    assert not [name for name, _ in values(metrics) if "task_" in name or "test_" in name]
    metrics.round_ended("small", "abandoned", 1.0, {"test_error": 9.0}, PARTS, 1000.0, 1)
    metrics.round_ended("small", "committed", 1.0, {"loss_before": 9.0}, PARTS, 1000.0, 1)
    assert not [name for name, _ in values(metrics) if "task_" in name or "test_" in name]
    metrics.round_ended("small", "committed", 1.0, {"test_error": 2.25, "test_baseline": 4.0}, PARTS, 1000.0, 1)
    seen, of_what = values(metrics), (("metric", "RMSE"), *SMALL, ("unit", "°C"))
    assert (seen["bramble_task_error", of_what], seen["bramble_task_baseline", of_what]) == (1.5, 2.0)
    assert (seen["bramble_test_error", SMALL], seen["bramble_test_baseline", SMALL]) == (2.25, 4.0), "the means, under their old names"
    metrics.round_ended("small", "committed", 1.0, {"loss_before": 9.0}, PARTS, 1000.0, 1)
    assert values(metrics)["bramble_task_error", of_what] == 1.5, "the last that was measured"
    metrics.forget("small")
    assert not [name for name, _ in values(metrics) if "task_" in name or "test_" in name]


def test_a_lost_client_keeps_an_up_of_0_and_a_last_seen_time_until_it_is_forgotten() -> None:
    registry = Registry(TASKS)
    metrics = Metrics({"small": METRIC}, registry, lambda: registry.strangers(["pi-1", "pi-never"]))
    registry.join(Handshake(2, "pi-1"), "s1", "10.0.0.1")
    registry.report("pi-1", Health(sent=1.0, soc_temperature=50.0))
    up, last = "bramble_client_up", "bramble_client_last_seen_timestamp_seconds"
    pi, never = (("client", "pi-1"),), (("client", "pi-never"),)
    seen = values(metrics)
    assert (seen[up, pi], seen[up, never]) == (1, 0)
    assert seen["bramble_client_soc_celsius", pi] == 50
    registry.leave("s1")
    gone = values(metrics)
    assert (gone[up, pi], gone[last, pi]) == (0, seen[last, pi])
    assert (last, never) not in gone
    assert ("bramble_client_soc_celsius", pi) not in gone, "what it reported is not so now"
    registry.forget("pi-1")
    assert (last, pi) not in values(metrics)
    assert values(metrics)[up, pi] == 0, "it has a token, and nobody has seen it"


def test_each_thing_that_the_firmware_says_is_a_series_of_its_own() -> None:
    registry = Registry(TASKS)
    for name, bits in (("pi-1", 0x50005), ("pi-2", None)):
        registry.join(Handshake(2, name), name, "10.0.0.1")
        registry.report(name, Health(sent=1.0, throttled=bits))
    found = {
        labels: value
        for (name, labels), value in values(Metrics({"small": METRIC}, registry)).items()
        if name == "bramble_client_throttled"
    }
    assert {dict(labels)["client"] for labels in found} == {"pi-1"}, "one that cannot tell says nothing"
    assert {dict(labels)["state"] for labels, value in found.items() if value} == {
        "under-voltage", "throttled", "under-voltage before", "throttled before",
    }  # fmt: skip


def test_promtool_finds_nothing() -> None:
    """Debian's package prometheus has it: it knows what Prometheus' makers hold to be a good name and a good text."""
    registry, traffic = Registry(TASKS), Traffic()
    metrics = Metrics({"small": METRIC}, registry, lambda: ["pi-never"])
    metrics.watch(traffic)
    metrics.waiting(lambda: 1)
    registry.join(Handshake(2, "pi-1"), "s1", "10.0.0.1")
    measured = {name: 50.0 for name in ("sample_age", "sample_every", "soc_temperature", "memory_free", "disk_free")}
    told = Health.from_wire(
        {
            "sent": 1.0,
            **measured,
            "samples_missed": 3,
            "sensors_gone": ["bme280"],
            "throttled": 0x50005,
            "disk": min(DISK),
            "in_use": {"small": "blend"},
            "drifted": {"small": 86400.0},
        }
    )
    registry.report("pi-1", told)
    metrics.round_ended("small", "committed", 1.0, {"test_error": 2.25, "test_baseline": 4.0}, PARTS, 1000.0, 1)
    families = {family.name for family in text_string_to_metric_families(metrics.text().decode()) if family.samples}
    assert len(families) >= 20, "each kind is there"
    promtool = shutil.which("promtool")
    if promtool is None:
        message = "there is no promtool: install Debian's prometheus to have the metrics checked"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    checked = subprocess.run([promtool, "check", "metrics"], input=metrics.text(), capture_output=True, timeout=60, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_a_kind_of_refusal_that_is_not_on_the_list_makes_no_series_of_its_own() -> None:
    metrics = made()
    metrics.update("unheard of")
    metrics.update("round over")
    seen = values(metrics)
    assert seen["bramble_updates_total", (("answer", "invalid"),)] == 1
    assert seen["bramble_updates_total", (("answer", "round over"),)] == 1
    assert sum(name == "bramble_updates_total" for name, _ in seen) == 1 + len(REFUSALS)


def test_bytes_are_those_of_the_moment() -> None:
    metrics, traffic = made(), Traffic()
    metrics.watch(traffic)
    waiting = [5.0]
    metrics.waiting(lambda: sum(waiting))
    traffic.received, traffic.sent = 7, 9
    waiting.append(6.0)
    seen = values(metrics)
    assert seen["bramble_waiting_bytes", ()] == 11
    assert (seen["bramble_received_bytes_total", ()], seen["bramble_sent_bytes_total", ()]) == (7, 9)


def test_a_round_leaves_when_it_ended_who_was_asked_and_how_many_answered_until_its_task_is_retired() -> None:
    metrics = made()
    metrics.last_round("small", "abandoned", 500.0)
    metrics.went_by(lambda: [("small", {"strategy": "fedprox", "codec": "int8"})])
    for now in (1000.0, 2000.0):
        metrics.round_ended("small", "committed", 1.0, {}, PARTS, now, 1)
    seen = values(metrics)
    at = "bramble_round_last_timestamp_seconds"
    assert (seen[at, (("state", "abandoned"), *SMALL)], seen[at, (("state", "committed"), *SMALL)]) == (500, 2000)
    assert (seen["bramble_round_last_asked", SMALL], seen["bramble_round_last_answered", SMALL]) == (2, 1)
    assert seen["bramble_client_asked_total", (("client", "pi-2"), *SMALL)] == 2
    assert seen["bramble_task_info", (("codec", "int8"), ("strategy", "fedprox"), *SMALL)] == 1
    assert [value for (name, labels), value in seen.items() if name == "bramble_build_info" and dict(labels)["version"]] == [1]
    metrics.remove("small")
    assert not [name for name, labels in values(metrics) if name != "bramble_task_info" and ("task", "small") in labels]


def test_two_servers_in_one_process_share_nothing() -> None:
    first, second = made(), made()
    first.readings(5)
    assert (values(first)["bramble_readings_total", ()], values(second)["bramble_readings_total", ()]) == (5, 0)
