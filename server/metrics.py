"""What Prometheus sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

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
    """

    def __init__(self, connected: Callable[[], int]) -> None:
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


class _Bytes(Collector):
    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    def collect(self) -> Iterator[CounterMetricFamily]:
        for direction, count in (("received", self._traffic.received), ("sent", self._traffic.sent)):
            yield CounterMetricFamily(f"bramble_{direction}_bytes", f"Bytes {direction} over WebSockets.", count)
