"""Tables of what a server answers: fixed columns, times and units by name, and nothing before it is known."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest

from bramble_protocol import tables

RUNNING: dict[str, Any] = {
    "round": 3, "task": "climate", "state": "running", "started": 1000.0, "ended": None, "selected": 2, "updates": 0, "metrics": {},
    "test": None, "strategy": {"name": "fedavg", "parameters": {}}, "selection": None, "deadline": 60.0, "reason": None,
    "clients": {"pi-1": {"sent": 1000.5, "train_start": None, "train_end": None, "bytes": None, "test": None, "reason": "=1+1"}},
}  # fmt: skip
ENDED = {
    **RUNNING,
    "round": 2,
    "state": "committed",
    "ended": 1003.5,
    "metrics": {"loss_before": 2.0, "loss_after": 1.0, "test_error": 2.25, "test_baseline": 4.0},
    "test": {"metric": "RMSE", "unit": "°C", "error": 1.5, "baseline": 2.0, "samples": 40, "clients": {"median": 1.25}},
}


def test_a_round_s_error_is_the_task_s_metric_with_its_unit_and_no_mean_of_squares() -> None:
    [row] = tables.rounds([ENDED])
    assert [row[name] for name in ("metric", "unit", "error", "baseline", "test_windows")] == ["RMSE", "°C", 1.5, 2.0, 40]
    assert (row["error_median"], row["duration_s"], row["strategy"], row["selection"]) == (1.25, 3.5, "fedavg", None)
    assert row["started"] == datetime.fromtimestamp(1000.0, UTC)
    assert {2.25, 4.0}.isdisjoint(row.values())


def test_what_is_not_known_is_no_number() -> None:
    [row] = tables.rounds([RUNNING])
    unknown = ("ended", "duration_s", "error", "baseline", "loss_before", "accuracy", "test_windows")
    assert [row[name] for name in unknown] == [None] * len(unknown)
    [part] = tables.parts([RUNNING])
    assert (part["client"], part["train_s"], part["error"], part["sent_bytes"]) == ("pi-1", None, None, None)


@pytest.mark.parametrize("table", tables.COLUMNS)
def test_each_table_has_its_columns_also_without_a_row(table: str) -> None:
    assert tables.as_csv(table, {} if table in ("clients", "readings") else []) == ",".join(tables.COLUMNS[table]) + "\n"
    assert len(set(tables.COLUMNS[table])) == len(tables.COLUMNS[table])


def test_every_row_has_just_the_columns_of_its_table() -> None:
    client = {"connected": True, "channels": [{"key": "temperature"}], "groups": {"floor": "1"}, "health": None, "since": 1.0}
    found = {"samples": 3, "errors": {"2": 1.5}, "baseline": 2.0, "reason": None}
    evaluation = {"evaluation": 1, "task": "climate", "models": [2], "started": 1.0, "ended": None, "metric": None, "clients": {"a": found}}
    answers: dict[str, Any] = {
        "rounds": [ENDED],
        "parts": [ENDED],
        "models": [{**ENDED, "held_out": None, "champion": True}],
        "clients": {"pi-1": client},
        "readings": {"pi-1": {"temperature": {"unit": "°C", "t": [1.0, 2.0], "value": [20.5, None]}}},
        "evaluations": [evaluation],
    }
    assert answers.keys() == tables.COLUMNS.keys()
    for table, answer in answers.items():
        for row in tables.ROWS[table](answer):
            assert row.keys() == set(tables.COLUMNS[table]), table


def test_csv_has_times_in_utc_gaps_for_what_is_unknown_and_no_formula() -> None:
    [row] = csv.DictReader(io.StringIO(tables.as_csv("parts", [RUNNING])))
    assert (row["sent"], row["received"], row["reason"]) == ("1970-01-01T00:16:40.500000Z", "", "'=1+1")
    columns = {"pi-1": {"temperature": {"unit": "°C", "t": [1.0, 2.0], "value": [-20.5, None]}}}
    rows = list(csv.DictReader(io.StringIO(tables.as_csv("readings", columns))))
    assert [row["value"] for row in rows] == ["-20.5", ""], "a number below zero is no formula"
