"""What each attack does to a fleet behind each defence: ``docs/experiments/attacks.toml``, four of twenty clients of ``climate``.

What is played is kept in ``.bench/attacks`` until all of it is: who stops this, and calls it again, goes on with what is left.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.table import Row
from bramble import experimenting
from bramble.settings import ExperimentSettings
from bramble.simulation.report import Repeats

ROOT = Path(__file__).parents[1]
FILE, KEPT = ROOT / "docs" / "experiments" / "attacks.toml", ROOT / ".bench" / "attacks"


def main() -> list[Row]:
    found = rows(experimenting.played(ExperimentSettings(file=str(FILE), out=KEPT), Console(stderr=True))[1])
    shutil.rmtree(KEPT)
    return found


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
    return f"{short(values['attack'])}, {short(values['strategy'])} {behind}"


def short(value: Any) -> str:
    """Return what a row calls a strategy or an attack with its options."""
    if isinstance(value, str):
        return value
    return " ".join([value["name"], *(f"{key}={item}" for key, item in value.items() if key != "name")])
