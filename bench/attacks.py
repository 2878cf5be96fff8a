"""What each attack does to a fleet behind each defence: ``docs/experiments/attacks.toml``, four of twenty clients of ``climate``."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.table import Row
from bramble import experimenting
from bramble.settings import ExperimentSettings
from bramble.simulation.report import Repeats

FILE = Path(__file__).parents[1] / "docs" / "experiments" / "attacks.toml"


def main() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bramble-attacks-") as folder:
        return rows(experimenting.played(ExperimentSettings(file=str(FILE), out=Path(folder)), Console(stderr=True))[1])


def rows(cells: Sequence[Repeats]) -> list[Row]:
    """Return for each attack and defence how much larger the held-out error is than FedAvg's where nobody attacks, means over the seeds."""
    clean = statistics.mean(cells[0].of("error"))
    return [_row(cell, clean) for cell in cells]


def _row(cell: Repeats, clean: float) -> Row:
    dearer = [100 * (error / clean - 1) for error in cell.of("error")]
    context = [f"{statistics.mean(cell.of('error')):.3f} °C against {clean:.3f} °C of FedAvg alone and unattacked"]
    context.append(f"{len(dearer)} seeds, {min(dearer):.1f} to {max(dearer):.1f} %")
    if cell.reached:
        context.append(f"the backdoor opens {cell.reached} of the way")
    if shut := statistics.mean(cell.of("quarantined")):
        context.append(f"{shut:.1f} clients in quarantine at the end")
    return Row(f"{_named(cell.cell.values)}: held-out error", round(statistics.mean(dearer), 6), "% more", ratio_of="; ".join(context))


def _named(values: Mapping[str, Any]) -> str:
    if not values.get("judged", True):
        behind = "alone"
    else:
        behind = "behind the judge" if values.get("quarantine") == 0 else "behind judge and quarantine"
    return f"{_short(values['attack'])}, {_short(values['strategy'])} {behind}"


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value
    return " ".join([value["name"], *(f"{key}={item}" for key, item in value.items() if key != "name")])
