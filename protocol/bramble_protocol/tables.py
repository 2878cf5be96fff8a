"""What a server's endpoints answer, as tables: a row for each thing, with the same columns always, in CSV over HTTP and in data frames.

Times are ``datetime`` in UTC, durations seconds (``_s``), sizes bytes. ``error`` and ``baseline`` are the task's metric, its root already
taken, in the column ``unit``. What is not known is None, never a zero.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]

_TESTED = ("metric", "unit", "error", "baseline", "test_windows")
_SPREAD = ("lower_quartile", "median", "upper_quartile", "worst_tenth")
_COUNTED = ("accuracy", "macro_f1", "alarm_rate", "precision", "recall", "threshold")
_WENT_BY = ("strategy", "codec", "discipline", "selection")
_OF_A_ROUND = (
    *("round", "task", "state", "started", "ended", "duration_s", "asked", "updates", "loss_before", "loss_after", *_TESTED),
    *(f"error_{name}" for name in _SPREAD),
    *(*_COUNTED, *_WENT_BY, "seed", "deadline_s", "rollback_of", "reason"),
)
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "rounds": _OF_A_ROUND,
    "parts": (
        *("round", "task", "client", "sent", "received", "train_start", "train_end", "replied", "train_s", "sent_bytes", "windows"),
        *("loss_before", "loss_after", *_TESTED, "update_norm", "cosine", "distance", "asked_in", "reason"),
    ),
    "models": (*_OF_A_ROUND, "held_out_error", "held_out_baseline", "held_out_windows", "champion", "pinned", "worse"),
    "clients": (
        *("client", "connected", "simulated", "version", "protocol", "since", "last_seen", "channels", "groups", "fits", "training"),
        *("sample_age_s", "sample_every_s", "soc_celsius", "memory_free_mib", "disk_free_mib", "clock_offset_s", "sensors_gone", "remarks"),
    ),
    "readings": ("client", "channel", "unit", "time", "value"),
    "evaluations": (
        *("evaluation", "task", "model", "client", "started", "ended", "windows", "metric", "unit", "error", "baseline", "reason"),
    ),
}  # fmt: skip
"""Columns of each table, in their order."""


def rounds(records: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """Yield a row for each of the rounds that ``/rounds`` answers."""
    return map(_round, records)


def parts(records: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """Yield a row for each client's part in each of the rounds that ``/rounds?clients=1`` answers."""
    for record in records:
        for name, part in record.get("clients", {}).items():
            began, ended = part.get("train_start"), part.get("train_end")
            yield {
                "round": record["round"],
                "task": record["task"],
                "client": name,
                **{moment: _time(part.get(moment)) for moment in ("sent", "received", "train_start", "train_end", "replied")},
                "train_s": None if began is None or ended is None else ended - began,
                "sent_bytes": part.get("bytes"),
                "windows": part.get("samples"),
                **{measure: part.get(measure) for measure in ("loss_before", "loss_after", "update_norm", "cosine", "distance", "reason")},
                **_tested(part.get("test")),
                "asked_in": part.get("asked"),
            }


def models(records: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """Yield a row for each of the models that ``/models`` answers: its round, and what was found of it afterwards."""
    for record in records:
        found = record.get("held_out") or {}
        yield {
            **_round(record),
            **{f"held_out_{name}": found.get(name) for name in ("error", "baseline")},
            "held_out_windows": found.get("samples"),
            **{name: record.get(name) for name in ("champion", "pinned", "worse")},
        }


def clients(registry: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    """Yield a row for each client of the ``clients`` that ``/clients`` answers."""
    for name, client in registry.items():
        health = client.get("health") or {}
        yield {
            "client": name,
            **{what: client.get(what) for what in ("connected", "simulated", "version", "protocol", "fits", "training")},
            **{moment: _time(client.get(moment)) for moment in ("since", "last_seen")},
            "channels": " ".join(channel["key"] for channel in client.get("channels", ())),
            "groups": " ".join(f"{group}={value}" for group, value in client.get("groups", {}).items()),
            **{f"{what}_s": health.get(what) for what in ("sample_age", "sample_every", "clock_offset")},
            "soc_celsius": health.get("soc_temperature"),
            **{f"{what}_mib": health.get(what) for what in ("memory_free", "disk_free")},
            "sensors_gone": " ".join(health.get("sensors_gone") or ()),
            "remarks": "; ".join(client.get("remarks", ())),
        }


def readings(columns: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[Row]:
    """Yield a row for each reading of the ``clients`` that ``/data/all`` answers; a value is None where the sensor gave none."""
    for client, channels in columns.items():
        for channel, column in channels.items():
            for at, value in zip(column["t"], column["value"], strict=True):
                yield {"client": client, "channel": channel, "unit": column["unit"], "time": _time(at), "value": value}


def evaluations(records: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """Yield a row for each model and client of the evaluations that ``/evaluations`` answers."""
    for record in records:
        metric = record.get("metric") or {}
        for model in record["models"]:
            for name, found in record["clients"].items():
                yield {
                    **{what: record[what] for what in ("evaluation", "task")},
                    "model": model,
                    "client": name,
                    **{moment: _time(record[moment]) for moment in ("started", "ended")},
                    "windows": found["samples"],
                    "metric": metric.get("name"),
                    "unit": metric.get("unit"),
                    "error": (found["errors"] or {}).get(str(model)),
                    **{what: found[what] for what in ("baseline", "reason")},
                }


ROWS: Mapping[str, Callable[[Any], Iterator[Row]]] = {
    "rounds": rounds, "parts": parts, "models": models, "clients": clients, "readings": readings, "evaluations": evaluations,
}  # fmt: skip
"""What makes each table of an answer."""


def as_csv(table: str, answer: Any) -> str:
    """Return an answer as CSV with a header.

    A text that a spreadsheet would take for a formula gets an apostrophe in front: clients write some of them.
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS[table], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in ROWS[table](answer))
    return file.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return int(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _round(record: Mapping[str, Any]) -> Row:
    means, over = record.get("metrics") or {}, (record.get("test") or {}).get("clients", {})
    started, ended = record["started"], record["ended"]
    return {
        **{what: record.get(what) for what in ("round", "task", "state", "updates", "seed", "rollback_of", "reason")},
        "started": _time(started),
        "ended": _time(ended),
        "duration_s": None if ended is None else ended - started,
        "asked": record.get("selected"),
        **{what: means.get(what) for what in ("loss_before", "loss_after", *_COUNTED)},
        **_tested(record.get("test")),
        **{f"error_{name}": over.get(name) for name in _SPREAD},
        **{what: (record.get(what) or {}).get("name") for what in _WENT_BY},
        "deadline_s": record.get("deadline"),
    }


def _tested(test: Mapping[str, Any] | None) -> Row:
    found = test or {}
    return {**{what: found.get(what) for what in ("metric", "unit", "error", "baseline")}, "test_windows": found.get("samples")}


def _time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
