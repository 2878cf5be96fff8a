"""Runs of simulations in a folder of results, as `bramble experiment` and `bramble simulate --out` write them; read again as they grow."""

from __future__ import annotations

import csv
import json
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST = 500
"""Runs that are read; an experiment has a few dozen."""
_DEPTH = 4
"""Folders below the one that was named in which runs may lie."""
COLUMNS = ("error", "loss_before", "loss_after", "bytes")
"""What can be drawn of a run's rounds."""
_HOW = ("version", "graph", "seed")
"""Settings that tell no two kinds of runs apart."""


@dataclass(frozen=True)
class Run:
    """One simulation."""

    name: str
    """Its folder, from the one that was named."""
    settings: Mapping[str, Any]
    rounds: Mapping[str, Sequence[float | None]]
    """Columns by name; ``round`` among them."""
    finished: bool
    mark: str
    """Of its files, as they were read."""

    @property
    def seed(self) -> str:
        """What it was repeated with."""
        return str(self.settings.get("seed", "–"))

    @property
    def last(self) -> float | None:
        """The error of its last round."""
        return next((error for error in reversed(self.rounds["error"]) if error is not None), None)


class Runs:
    """The runs in a folder.

    Parameters
    ----------
    folder
        None: nobody named one.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._known: dict[str, Run] = {}
        self._lock = threading.Lock()

    def look(self) -> list[Run]:
        """Return all runs by their names; those whose files have not changed are not read again."""
        if self.folder is None:
            return []
        with self._lock:
            found: dict[str, Run] = {}
            for depth in range(_DEPTH):
                for summary in sorted(self.folder.glob("*/" * depth + "summary.json")):
                    if len(found) < MOST and (run := self._read(summary.parent)):
                        found[run.name] = run
            self._known = dict(sorted(found.items()))
            return list(self._known.values())

    def _read(self, folder: Path) -> Run | None:
        assert self.folder is not None
        name = str(folder.relative_to(self.folder))
        try:
            stats = [path.stat() for path in (folder / "summary.json", folder / "rounds.csv") if path.exists()]
            mark = f"{name} " + " ".join(f"{stat.st_mtime_ns} {stat.st_size}" for stat in stats)
            if (known := self._known.get(name)) and known.mark == mark:
                return known
            summary = json.loads((folder / "summary.json").read_text("utf-8"))
            settings, finished = summary["settings"], bool(summary.get("finished"))
            return Run(name, settings, _rounds(folder / "rounds.csv"), finished, mark) if isinstance(settings, dict) else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return self._known.get(name)  # half written, or no run at all


def _rounds(path: Path) -> dict[str, list[float | None]]:
    """Read a table of rounds; a last line that is still being written is left out."""
    found: dict[str, list[float | None]] = {name: [] for name in ("round", *COLUMNS)}
    if not path.exists():
        return found
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            number = _number(row.get("round"))
            if number is not None and row.get("reason") is not None:  # the last column is there
                for name in COLUMNS:
                    found[name].append(_number(row.get(name)))
                found["round"].append(number)
    return found


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def kinds(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs that differ by their seed alone, by what tells them from others: the strategy, and whatever else varies."""
    varied = sorted({
        name for run in runs for name, value in run.settings.items()
        if name not in (*_HOW, "strategy") and any(other.settings.get(name) != value for other in runs)
    })  # fmt: skip
    found: dict[str, list[Run]] = {}
    for run in runs:
        rest = [f"{name} {_shown(run.settings.get(name))}" for name in varied if run.settings.get(name) not in (None, {}, [])]
        found.setdefault(", ".join([str(run.settings.get("strategy") or "run"), *rest]), []).append(run)
    return found


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def smoothed(values: Sequence[float | None], over: int) -> list[float | None]:
    """Return the mean of each value and those before it, ``over`` in all; what is missing counts for nothing."""
    found: list[float | None] = []
    for place in range(len(values)):
        part = [value for value in values[max(0, place - over + 1) : place + 1] if value is not None]
        found.append(sum(part) / len(part) if part and values[place] is not None else None)
    return found


def mean(runs: Sequence[Run], column: str) -> tuple[list[float], list[float]]:
    """Return rounds and the mean over runs of a column, where all that got so far have a value."""
    table: dict[float, list[float]] = {}
    for run in runs:
        for number, value in zip(run.rounds["round"], run.rounds[column], strict=True):
            if number is not None and value is not None:
                table.setdefault(number, []).append(value)
    numbers = sorted(table)
    return numbers, [sum(table[number]) / len(table[number]) for number in numbers]
