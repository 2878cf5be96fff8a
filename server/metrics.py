"""What Prometheus sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from protocol.health import DISK
from server.websocket import Traffic

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
disable_created_metrics()  # type: ignore[no-untyped-call]
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
REFUSALS = ("invalid", "round over", "unknown round", "not asked", "failed here")
"""Kinds of refused updates; few and fixed, because each becomes a time series."""


class Metrics:
    """The server's own metrics, in a registry of their own.

    Parameters
    ----------
    connected
        Returns how many clients are connected.
    health
        Returns the last report of each connected client, by id.
    """

    def __init__(self, connected: Callable[[], int], health: Callable[[], Mapping[str, Mapping[str, Any]]] = dict) -> None:
        self._registry = CollectorRegistry()
        rounds = Counter("bramble_rounds", "Rounds that ended, by how.", ["state"], registry=self._registry)
        self._rounds = {state: rounds.labels(state) for state in ("committed", "abandoned")}
        self._seconds = Histogram("bramble_round_seconds", "How long committed rounds took.", registry=self._registry, buckets=_SECONDS)
        updates = Counter("bramble_updates", "Updates that clients sent, by what became of them.", ["answer"], registry=self._registry)
        self._updates = {answer: updates.labels(answer) for answer in ("accepted", *REFUSALS)}
        self._readings = Counter("bramble_readings", "Mirrored readings that were stored.", registry=self._registry)
        self._error = Gauge("bramble_test_error", "Test-then-train error of the last committed round.", registry=self._registry)
        self._baseline = Gauge("bramble_test_baseline", "The baseline's error on the same data.", registry=self._registry)
        Gauge("bramble_clients_connected", "Clients connected now.", registry=self._registry).set_function(connected)
        self._registry.register(_Health(health))

    def watch(self, traffic: Traffic) -> None:
        """Show these byte counts too."""
        self._registry.register(_Bytes(traffic))

    def round_ended(self, state: str, seconds: float, metrics: Mapping[str, float]) -> None:
        """Note a round; the metrics are those of the last committed one."""
        self._rounds[state].inc()
        if state == "committed":
            self._seconds.observe(seconds)
            if "test_error" in metrics:
                self._error.set(metrics["test_error"])
            if "test_baseline" in metrics:
                self._baseline.set(metrics["test_baseline"])

    def update(self, answer: str) -> None:
        """Note what became of an update: ``accepted`` or one of ``REFUSALS``."""
        self._updates[answer if answer in self._updates else "invalid"].inc()

    def readings(self, count: int) -> None:
        """Note stored readings."""
        self._readings.inc(count)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)


_HEALTH = {
    "sample_age": ("sample_age_seconds", "Age of the client's newest sample when it reported.", 1.0),
    "samples_missed": ("samples_missed", "Samples that the client could not take in time since it began.", 1.0),
    "sensors_gone": ("sensors_gone", "Sensors of the client that do not answer.", 1.0),
    "soc_temperature": ("soc_celsius", "Temperature of the client's processor.", 1.0),
    "throttled": ("throttled_bits", "The Pi firmware's get_throttled: bit 0 under-voltage, 1 capped, 2 throttled, 3 hot.", 1.0),
    "memory_free": ("memory_free_bytes", "Free memory of the client's machine.", 2.0**20),
    "disk_free": ("disk_free_bytes", "Free disk where the client keeps its data.", 2.0**20),
    "clock_offset": ("clock_offset_seconds", "The client's clock minus the server's.", 1.0),
}
"""Field of a report to the metric's name, what it says, and its factor to Prometheus' base unit."""


class _Health(Collector):
    def __init__(self, health: Callable[[], Mapping[str, Mapping[str, Any]]]) -> None:
        self._health = health

    def collect(self) -> Iterator[GaugeMetricFamily]:
        reports = self._health()
        for field, (name, text, factor) in _HEALTH.items():
            family = GaugeMetricFamily(f"bramble_client_{name}", text, labels=["client"])
            for client, report in sorted(reports.items()):
                value = report[field]
                if isinstance(value, list):  # of names
                    value = len(value)
                if value is not None:
                    family.add_metric([client], value * factor)
            yield family
        text = "What the client's disk does: 1 for the state it is in."
        disks = GaugeMetricFamily("bramble_client_disk", text, labels=["client", "state"])
        for client, report in sorted(reports.items()):
            if report.get("disk") is not None:
                for state in DISK:
                    disks.add_metric([client, state], float(report["disk"] == state))
        yield disks


class _Bytes(Collector):
    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    def collect(self) -> Iterator[CounterMetricFamily]:
        for direction, count in (("received", self._traffic.received), ("sent", self._traffic.sent)):
            yield CounterMetricFamily(f"bramble_{direction}_bytes", f"Bytes {direction} over WebSockets.", count)
