"""The server's metrics, as Prometheus reads them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from bramble_protocol.graph import Metric
from bramble_protocol.health import DISK, THROTTLED
from bramble_server.fleet.registry import Registry
from bramble_server.installed import release

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
disable_created_metrics()  # type: ignore[no-untyped-call]
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
STATES = ("committed", "abandoned")
"""How rounds end."""
REFUSALS = ("invalid", "round over", "unknown round", "not asked", "failed here")
"""Kinds of refused updates; few and fixed, because each becomes a time series."""


class Tried(NamedTuple):
    """What clients found of a model that they tried without training."""

    model: int
    """Its round."""
    windows: int
    clients: int
    error: float
    """Mean over the windows, as ``test_error`` is one; likewise ``baseline``."""
    baseline: float


@dataclass
class Traffic:
    """Bytes over all WebSockets since the start."""

    received: int = 0
    sent: int = 0


class Metrics:
    """The server's own metrics, in a registry of their own.

    Parameters
    ----------
    metrics
        Each task's metric, by its name.
    registry
        Who there is.
    never_seen
        Returns the ids that may connect and never did.
    """

    def __init__(self, metrics: Mapping[str, Metric], registry: Registry, never_seen: Callable[[], Iterable[str]] = list) -> None:
        self._collectors = CollectorRegistry()
        self._registry = registry
        self._followers: list[Callable[[str, int, Mapping[str, float | None]], None]] = []
        self._rounds = Counter("bramble_rounds", "Rounds that ended, by how.", ["task", "state"], registry=self._collectors)
        self._seconds = Histogram(
            "bramble_round_seconds", "How long committed rounds took.", ["task"], registry=self._collectors, buckets=_SECONDS
        )
        updates = Counter("bramble_updates", "Updates that clients sent, by what became of them.", ["answer"], registry=self._collectors)
        self._updates = {answer: updates.labels(answer) for answer in ("accepted", *REFUSALS)}
        self._ended = Gauge(
            "bramble_round_last_timestamp_seconds", "When the last round ended, by how.", ["task", "state"], registry=self._collectors
        )
        self._took_part = {
            what: Gauge(f"bramble_round_last_{what}", f"Clients that {words} in the last round.", ["task"], registry=self._collectors)
            for what, words in (("asked", "were asked"), ("answered", "sent an update"))
        }
        self._asked = Counter(
            "bramble_client_asked", "Rounds that the client was asked to train in.", ["task", "client"], registry=self._collectors
        )
        Info("bramble_build", "What serves.", registry=self._collectors).info({"version": release(), "python": platform.python_version()})
        self._left_out = Counter(
            "bramble_updates_left_out", "Updates that came and did not count, by whose they are.", ["task", "client"],
            registry=self._collectors,
        )  # fmt: skip
        self._given_up = Counter(
            "bramble_models_given_up", "Times that the server went back by itself from the newest model to the best.", ["task"],
            registry=self._collectors,
        )  # fmt: skip
        self._readings = Counter("bramble_readings", "Mirrored readings that were stored.", registry=self._collectors)
        Gauge("bramble_clients_connected", "Clients connected now.", registry=self._collectors).set_function(lambda: len(registry))
        self._able = Gauge("bramble_clients_able", "Clients connected now that can train the task.", ["task"], registry=self._collectors)
        self._measures = _Measures()
        for task, metric in metrics.items():
            self.add(task, metric)
        for collector in (self._measures, _Presence(registry, never_seen), _Health(registry)):
            self._collectors.register(collector)

    def add(self, task: str, metric: Metric) -> None:
        """Show a task."""
        self._measures.metrics[task], self._measures.means[task] = metric, {}
        self._able.labels(task).set_function(partial(self._registry.ready, task))
        self._seconds.labels(task)
        self._given_up.labels(task)
        for state in STATES:
            self._rounds.labels(task, state)

    def remove(self, task: str) -> None:
        """Show a task no longer."""
        del self._measures.metrics[task], self._measures.means[task]
        self._measures.tried.pop(task, None)
        self._able.remove(task)
        self._seconds.remove(task)
        for state in STATES:
            self._rounds.remove(task, state)
        for family in (self._given_up, self._ended, self._asked, self._left_out, *self._took_part.values()):
            family.remove_by_labels({"task": task})

    def watch(self, traffic: Traffic) -> None:
        """Show these byte counts too."""
        self._collectors.register(_Bytes(traffic))

    def waiting(self, total: Callable[[], float]) -> None:
        """Show how many bytes wait for clients to take them."""
        Gauge("bramble_waiting_bytes", "Bytes that wait for clients to take them.", registry=self._collectors).set_function(total)

    def database(self, trouble: Callable[[], object]) -> None:
        """Show whether there is trouble with the database."""
        gauge = Gauge("bramble_database_up", "1 while the database can be used, 0 while it cannot.", registry=self._collectors)
        gauge.set_function(lambda: not trouble())

    def went_by(self, choices: Callable[[], Iterable[tuple[str, Mapping[str, str]]]]) -> None:
        """Show what each task's rounds go by: strategy, codec, discipline, selection."""
        self._collectors.register(_Choices(choices))

    def last_round(self, task: str, state: str, ended: float) -> None:
        """Note when a round ended, as a former process wrote it down."""
        self._ended.labels(task, state).set(ended)

    def round_ended(
        self, task: str, state: str, seconds: float, metrics: Mapping[str, float], parts: Mapping[str, Mapping[str, Any]], now: float,
        number: int,
    ) -> None:  # fmt: skip
        """Note a round, each client's part in it, and its pooled metrics if it was committed."""
        self._rounds.labels(task, state).inc()
        self.last_round(task, state, now)
        self._took_part["asked"].labels(task).set(len(parts))
        self._took_part["answered"].labels(task).set(sum(part.get("replied") is not None for part in parts.values()))
        for client in parts:
            self._asked.labels(task, client).inc()
        for follow in self._followers:
            follow(task, number, self._values(task, state, seconds, metrics, parts))
        if state == "committed":
            self._seconds.labels(task).observe(seconds)
            self.measured(task, metrics)

    def follow(self, told: Callable[[str, int, Mapping[str, float | None]], None]) -> None:
        """Have each round told as it ends: its task, its number, and what it came to, with the errors as the task's metric."""
        self._followers.append(told)

    def _values(
        self, task: str, state: str, seconds: float, metrics: Mapping[str, float], parts: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, float | None]:
        answered = sum(part.get("replied") is not None for part in parts.values())
        found: dict[str, float | None] = {
            "committed": float(state == "committed"), "seconds": seconds, "asked": len(parts), "answered": answered,
        }  # fmt: skip
        if state == "committed":
            read = self._measures.metrics[task].read
            found |= {name.removeprefix("test_"): read(metrics[name]) for name in ("test_error", "test_baseline") if name in metrics}
            found |= {name: value for name, value in metrics.items() if "." not in name and not name.startswith("test_")}
        return found

    def measured(self, task: str, metrics: Mapping[str, float]) -> None:
        """Note what a committed round measured; what it did not measure stays what it was."""
        self._measures.means[task].update({name: metrics[name] for name in ("test_error", "test_baseline") if name in metrics})

    def tried(self, task: str, found: Tried) -> None:
        """Note what the newest evaluation found of the newest of its models."""
        self._measures.tried[task] = found

    def forget(self, task: str) -> None:
        """Note that nothing is known of a task's model any more."""
        self._measures.means[task].clear()
        self._measures.tried.pop(task, None)

    def update(self, answer: str) -> None:
        """Note what became of an update: ``accepted`` or one of ``REFUSALS``."""
        self._updates[answer if answer in self._updates else "invalid"].inc()

    def left_out(self, task: str, clients: Iterable[str]) -> None:
        """Note whose updates a round left out."""
        for client in clients:
            self._left_out.labels(task, client).inc()

    def gave_way(self, task: str) -> None:
        """Note that the server went back to the best model by itself."""
        self._given_up.labels(task).inc()

    def readings(self, count: int) -> None:
        """Note stored readings."""
        self._readings.inc(count)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._collectors)


_HEALTH = {
    "sample_age": ("sample_age_seconds", "Age of the client's newest sample when it reported.", 1.0),
    "sample_every": ("sample_interval_seconds", "How often the client means to sample.", 1.0),
    "samples_missed": ("samples_missed", "Samples that the client could not take in time since it began.", 1.0),
    "windows_doubtful": ("windows_doubtful", "Training windows of the client that cannot be true, when it last trained.", 1.0),
    "sensors_gone": ("sensors_gone", "Sensors of the client that do not answer.", 1.0),
    "sensors_doubted": ("sensors_doubted", "Sensors of the client that answer what is not believed.", 1.0),
    "alarms": ("alarms", "Windows of the client, since it began, that were unlike all that the fleet has learnt.", 1.0),
    "soc_temperature": ("soc_celsius", "Temperature of the client's processor.", 1.0),
    "memory_free": ("memory_free_bytes", "Free memory of the client's machine.", 2.0**20),
    "disk_free": ("disk_free_bytes", "Free disk where the client keeps its data.", 2.0**20),
    "clock_offset": ("clock_offset_seconds", "The client's clock minus the server's.", 1.0),
}
"""Field of a report to the metric's name, what it says, and its factor to Prometheus' base unit."""


_TRIED = {
    "model_round": "Round of the newest model that the last evaluation tried.",
    "windows": "Windows that it was tried on.",
    "clients": "Clients that tried it.",
}


class _Measures(Collector):
    """The error of each task's global model, in rounds and in evaluations. There is none before it was measured."""

    def __init__(self) -> None:
        self.metrics: dict[str, Metric] = {}
        self.means: dict[str, dict[str, float]] = {}
        self.tried: dict[str, Tried] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, text in (
            ("error", "The global model's error on data that nobody had trained on"),
            ("baseline", "The baseline's error there"),
        ):
            labels = ["task", "metric", "unit"]
            read = GaugeMetricFamily(f"bramble_task_{name}", f"{text}, as the task's metric in its unit.", labels=labels)
            text = f"The mean that bramble_task_{name} is read from: of squares, for a root."
            mean = GaugeMetricFamily(f"bramble_test_{name}", text, labels=["task"])
            for task, metric in list(self.metrics.items()):
                if (known := self.means[task].get(f"test_{name}")) is not None:
                    read.add_metric([task, metric.name, metric.unit], metric.read(known))
                    mean.add_metric([task], known)
            yield from (read, mean)
        yield from self._evaluations()

    def _evaluations(self) -> Iterator[GaugeMetricFamily]:
        tried = [(task, self.metrics[task], found) for task, found in list(self.tried.items())]
        for name, text in (("error", "Error of that model"), ("baseline", "The baseline's error")):
            text = f"{text} over those windows, as the task's metric in its unit."
            family = GaugeMetricFamily(f"bramble_evaluation_{name}", text, labels=["task", "metric", "unit"])
            for task, metric, found in tried:
                family.add_metric([task, metric.name, metric.unit], metric.read(getattr(found, name)))
            yield family
        for name, text in _TRIED.items():
            count = GaugeMetricFamily(f"bramble_evaluation_{name}", text, labels=["task"])
            for task, _, found in tried:
                count.add_metric([task], getattr(found, name.removesuffix("_round")))
            yield count


class _Choices(Collector):
    """What each task's rounds go by now; a task that is retired has none."""

    def __init__(self, choices: Callable[[], Iterable[tuple[str, Mapping[str, str]]]]) -> None:
        self._choices = choices

    def collect(self) -> Iterator[InfoMetricFamily]:
        family = InfoMetricFamily("bramble_task", "What the task's rounds go by.", labels=["task"])
        for task, choice in self._choices():
            family.add_metric([task], dict(choice))
        yield family


class _Presence(Collector):
    """Who is there and who is missing: until a client is forgotten it has its series, so that an alert can be raised about it."""

    def __init__(self, registry: Registry, never_seen: Callable[[], Iterable[str]]) -> None:
        self._registry, self._never_seen = registry, never_seen

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("bramble_client_up", "Whether the client is connected; 0 too if it never was.", labels=["client"])
        seen = GaugeMetricFamily("bramble_client_last_seen_timestamp_seconds", "When the client last said something.", labels=["client"])
        for client, (connected, last_seen) in sorted(self._registry.presence().items()):
            up.add_metric([client], float(connected))
            seen.add_metric([client], last_seen)
        for client in self._never_seen():
            up.add_metric([client], 0.0)
        yield from (up, seen)


class _Health(Collector):
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[GaugeMetricFamily]:
        reports = self._registry.health()
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
        text = "What the Pi's firmware says of power and heat, now and since the boot: 1 for each that is so."
        throttled = GaugeMetricFamily("bramble_client_throttled", text, labels=["client", "state"])
        for client, report in sorted(reports.items()):
            if report.get("disk") is not None:
                for state in DISK:
                    disks.add_metric([client, state], float(report["disk"] == state))
            if report.get("throttled") is not None:
                for bit, state in THROTTLED.items():
                    throttled.add_metric([client, state], float(report["throttled"] >> bit & 1))
        text = "How many clients go by which model of a task at their sites."
        used = GaugeMetricFamily("bramble_in_use", text, labels=["task", "model"])
        text = "Since when a client's error of a task is higher than it was, seconds since 1970; alone is yes, no or unknown."
        drifted = GaugeMetricFamily("bramble_client_drifted_timestamp_seconds", text, labels=["client", "task", "alone"])
        for task in self._registry.tasks:
            for model, count in sorted(self._registry.in_use(task).items()):
                used.add_metric([task, model], float(count))
            for client, drift in sorted(self._registry.drifts(task).items()):
                drifted.add_metric([client, task, {None: "unknown", True: "yes", False: "no"}[drift.alone]], drift.since)
        yield from (disks, throttled, used, drifted)


class _Bytes(Collector):
    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    def collect(self) -> Iterator[CounterMetricFamily]:
        for direction, count in (("received", self._traffic.received), ("sent", self._traffic.sent)):
            yield CounterMetricFamily(f"bramble_{direction}_bytes", f"Bytes {direction} over WebSockets.", count)
