"""``bramble evaluate``: clients try models without training; what each found, what all did, and a matrix of clients and models."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console

from bramble import terminal
from bramble.api import JSON, Server
from bramble.round import measures
from bramble.settings import EvaluateSettings
from bramble_protocol import BrambleError
from bramble_protocol.printable import printable

INTERRUPTED = 130
"""Exit code after Ctrl-C."""
MOST = 1000
"""Evaluations that are looked at for a list or a matrix."""
Rows = list[list[str]]


def run(settings: EvaluateSettings) -> int:
    """Start an evaluation and show what came of it, or show those that were; return 1 if no client found anything, else 0.

    Raises
    ------
    ServerError
        If the server refuses, does not answer, or the evaluation does not end in time.
    """
    if settings.listed and settings.matrix:
        raise BrambleError("--list and --matrix exclude each other: say one of them")
    if settings.models and (settings.listed or settings.matrix):
        raise BrambleError(f"{'--list' if settings.listed else '--matrix'}: starts nothing, so no models are named beside it")
    server = Server.of(settings)
    if settings.listed or settings.matrix:
        found = server.evaluations(0, MOST, settings.task)
        _tell(settings, *(listing(found) if settings.listed else matrix(found)), found)
        return 0
    started = server.evaluate(settings.models, settings.task)
    number = started["evaluation"]
    for name, why in started["not_asked"].items():
        print(printable(f"{name} is not asked: {why}", None), file=sys.stderr)
    try:
        record = _ended(server, number, len(started["clients"]), settings.within)
    except KeyboardInterrupt:
        print(f"evaluation {number} goes on at the server; bramble evaluate --list shows what comes of it", file=sys.stderr)
        return INTERRUPTED
    columns, rows = table(record)
    _tell(settings, columns, rows, record)
    if not settings.as_json:
        for line in summary(record):
            print(line)
    return 0 if any(record["pooled"].values()) else 1


def _ended(server: Server, number: int, asked: int, within: float) -> JSON:
    """Wait for the end of an evaluation, with a line that says how far it is; return it."""
    with Console(stderr=True, highlight=False).status("") as doing:

        def told(record: JSON) -> None:
            done = sum(one["samples"] is not None or one["reason"] is not None for one in record["clients"].values())
            passed = len(record["clients"]) - asked
            doing.update(f"evaluation {number}: {done - passed} of {asked} clients have answered")

        return server.ended(number, within, told)


def table(record: JSON) -> tuple[list[str], Rows]:
    """Return columns and rows of one evaluation: a client each, with its error by each model, the baseline's, and its windows."""
    unit = (record["metric"] or {}).get("unit", "")
    columns = ["client", *(f"round {number} [{unit}]" for number in record["models"]), f"baseline [{unit}]", "windows", "why not"]
    rows = [
        [
            name,
            *(_number((one["errors"] or {}).get(str(number))) for number in record["models"]),
            _number(one["baseline"]),
            str(one["samples"] or ""),
            one["reason"] or "",
        ]
        for name, one in record["clients"].items()
    ]
    return columns, rows


def summary(record: JSON) -> Iterable[str]:
    """Yield a line for each model of what all clients found."""
    metric = record["metric"] or {"name": "error", "unit": ""}
    for number in record["models"]:
        found = record["pooled"].get(str(number))
        if found is None:
            yield f"round {number}: no client had readings to try it on"
            continue
        change = f" ({100 * (found['error'] / found['baseline'] - 1):+.0f} %)" if found["baseline"] else ""
        low, middle, high = (found["quantiles"][at] for at in ("0.1", "0.5", "0.9"))
        yield (
            f"round {number}: {metric['name']} {found['error']:.3g} {metric['unit']}, baseline {found['baseline']:.3g}{change} over "
            f"{found['samples']} windows of {found['clients']} clients; by client: a tenth below {low:.3g}, half below {middle:.3g}, "
            f"a tenth above {high:.3g}; worst tenth {found['worst_tenth']:.3g}{measures(found)}"
        )


def listing(found: Sequence[JSON]) -> tuple[list[str], Rows]:
    """Return columns and rows of evaluations: a row for each and each of its models."""
    columns = ["evaluation", "started", "state", "round", "error", "baseline", "worst tenth", "windows", "clients"]
    rows: Rows = []
    for record in found:
        when = datetime.fromtimestamp(record["started"]).strftime("%Y-%m-%d %H:%M")
        for number in record["models"]:
            all_of_them = record["pooled"].get(str(number)) or {}
            measures = [_number(all_of_them.get(name)) for name in ("error", "baseline", "worst_tenth")]
            counts = [str(all_of_them.get("samples", "")), f"{all_of_them.get('clients', 0)} of {len(record['clients'])}"]
            rows.append([str(record["evaluation"]), when, record["state"], str(number), *measures, *counts])
    return columns, rows


def matrix(found: Sequence[JSON]) -> tuple[list[str], Rows]:
    """Return columns and rows of what each client last found of each model, and its baseline then; nothing where it never tried one."""
    errors: dict[str, dict[int, float]] = {}
    for record in found:  # ascending, so that what is newer takes the place of what is older
        for name, one in record["clients"].items():
            theirs = errors.setdefault(name, {})
            theirs |= {int(number): error for number, error in (one["errors"] or {}).items()}
    models = sorted({number for theirs in errors.values() for number in theirs})
    columns = ["client", *(f"round {number}" for number in models)]
    return columns, [[name, *(_number(theirs.get(number)) for number in models)] for name, theirs in sorted(errors.items()) if theirs]


def _tell(settings: EvaluateSettings, columns: list[str], rows: Rows, found: JSON | Sequence[JSON]) -> None:
    if settings.csv is not None:
        _write(settings.csv, columns, rows)
    if settings.as_json:
        print(json.dumps(found, indent=2))
    elif rows:
        terminal.console().print(terminal.table(columns, rows))
    else:
        print("nothing was evaluated yet; begin with: bramble evaluate")


def _write(path: Path, columns: Sequence[str], rows: Rows) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
    except OSError as error:
        raise BrambleError(f"--csv: {path} cannot be written ({error.strerror})") from None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
