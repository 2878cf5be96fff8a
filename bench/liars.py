"""What liars cost a fleet, by strategy: the experiments ``liars.toml`` and ``liars_beside.toml``.

Clients know what ``bramble simulate`` gives them: with twenty of them each a third of a place's year, with five each a year.

What is played is kept in ``.bench`` until all of it is: who stops this, and calls it again, goes on with what is left.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from bench.attacks import short
from bench.table import Row
from bramble import experimenting
from bramble.settings import ExperimentSettings
from bramble.simulation.report import Repeats

HERE, KEPT = Path(__file__).parent, Path(__file__).parents[1] / ".bench"
FILES = ("liars", "liars_beside")
TUNING = (101, 102)
"""Draws in which rates are chosen; the others are told of."""
ATTACKED, CLEAN = 5.0, 3.0
"""Most error above the clean run's, in percent, with liars and without any."""
FAILS = 100.0
"""Least of FedAvg's with liars, or it would need no others."""


def main() -> list[Row]:
    console = Console(stderr=True)
    first, beside = (
        experimenting.played(ExperimentSettings(file=str(HERE / f"{name}.toml"), out=KEPT / name), console)[1] for name in FILES
    )
    found = [*rows(first), *rows_beside(beside, clean(first))]
    for name in FILES:
        shutil.rmtree(KEPT / name)
    return found


def rows(cells: Sequence[Repeats]) -> list[Row]:
    """Return what each strategy costs with liars and without, at the rate with which it ended best where it is tuned."""
    reference = clean(cells)
    found = []
    for name in dict.fromkeys(short(cell.cell.values["strategy"]) for cell in cells):
        both = [cell for cell in cells if short(cell.cell.values["strategy"]) == name]
        rate = _rate([cell for cell in both if lied(cell) == (name != "fedavg")])
        for cell in both:
            if cell.cell.values["learning_rate"] == rate and not (name == "fedavg" and not lied(cell)):
                limit = FAILS if name == "fedavg" else ATTACKED if lied(cell) else CLEAN
                found.append(_row(f"{name} at {rate:g}", cell, reference, "4 of 20", limit, "at least" if name == "fedavg" else "at most"))
    return found


def rows_beside(cells: Sequence[Repeats], of_twenty: Mapping[int, float]) -> list[Row]:
    """Return the same of the others, each against FedAvg's clean run of as many clients."""
    five = [cell for cell in cells if cell.cell.values["clients"] == 5]
    of_five = _errors(next(cell for cell in five if not lied(cell) and cell.cell.values["strategy"] == "fedavg"))
    return [
        _row(
            short(cell.cell.values["strategy"]), cell, of_five if cell in five else of_twenty, "1 of 5" if cell in five else "4 of 20"
        )
        for cell in cells
        if lied(cell) or cell not in five
    ]  # fmt: skip


def clean(cells: Sequence[Repeats]) -> dict[int, float]:
    """Return FedAvg's error by seed where nobody lies, at its best rate."""
    alone = [cell for cell in cells if cell.cell.values["strategy"] == "fedavg" and not lied(cell)]
    rate = _rate(alone)
    return _errors(next(cell for cell in alone if cell.cell.values["learning_rate"] == rate))


def lied(cell: Repeats) -> bool:
    """Return whether anybody lies."""
    return bool(cell.cell.values["attack"] != "none")


def _rate(cells: Sequence[Repeats]) -> float:
    """Return the learning rate with which a strategy ends best where it is tuned."""
    best = min(cells, key=lambda cell: statistics.mean(error for seed, error in _all(cell).items() if seed in TUNING))
    return float(best.cell.values["learning_rate"])


def _all(cell: Repeats) -> dict[int, float]:
    return {seed: float(summary["error"]) for seed, summary in cell.summaries.items()}


def _errors(cell: Repeats) -> dict[int, float]:
    return {seed: error for seed, error in _all(cell).items() if seed not in TUNING}


def _row(
    name: str, cell: Repeats, reference: Mapping[int, float], part: str, limit: float | None = None,
    bound: Literal["at most", "at least"] = "at most",
) -> Row:  # fmt: skip
    errors = _errors(cell)
    dearer = [100 * (error / reference[seed] - 1) for seed, error in errors.items()]
    who = f"{part} lie{'s' * part.startswith('1')}" if lied(cell) else "nobody lies"
    context = (
        f"{statistics.median(errors.values()):.3f} °C against {statistics.median(reference.values()):.3f} °C of FedAvg's clean run; median "
        f"of {len(dearer)} draws, {min(dearer):.2f} to {max(dearer):.2f} %"
    )
    return Row(f"{name}, {who}: held-out error above the clean run's", statistics.median(dearer), "%", limit, context, bound=bound)
