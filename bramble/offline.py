"""Simulations and experiments for programs and notebooks; ``bramble.simulate`` and ``bramble.experiment``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bramble import experimenting, flags
from bramble.frames import Table, table
from bramble.settings import ExperimentSettings, SimulateSettings
from bramble.simulation import report
from bramble.simulation.results import Folder, client_rows, round_row
from bramble.simulation.run import INTERRUPTED, Run
from bramble_protocol.errors import BrambleError


@dataclass(frozen=True)
class Simulated:
    """What a simulation came to."""

    rounds: Table
    """A row a round; times are simulated seconds since the beginning, ``error`` and ``baseline`` the task's metric on what was held out."""
    clients: Table
    """A row for each client and round."""
    summary: dict[str, Any]
    """What the last model came to; ``finished`` is False where somebody stopped it."""


@dataclass(frozen=True)
class Experimented:
    """What an experiment came to."""

    cells: Table
    """A row for each point of the grid and seed."""
    rounds: Table
    """A row for each of these and round, with the columns of :attr:`Simulated.rounds`."""
    folder: Path
    """Where the results and the report lie."""


def simulate(told: Callable[[dict[str, Any]], None] | None = None, **settings: Any) -> Simulated:
    """Let a whole fleet learn in simulated time, as ``bramble simulate`` does.

    Parameters
    ----------
    told
        Called with each round's row as it ends.
    settings
        The command's flags, with ``_`` for ``-``: ``simulate(clients=20, rounds=5, strategy="fedprox")``. The environment is not asked.

    Raises
    ------
    BrambleError
        If a setting is unknown or wrong, or the simulation cannot begin or go on.
    """
    ready = Run(flags.of_values(SimulateSettings, settings))
    folder = None if ready.settings.out is None else Folder(ready.settings.out, ready.about)
    outcome = ready.play(lambda played: told(round_row(played)) if told else None)
    if folder:
        folder.write(outcome.played, {**outcome.summary, "machine": outcome.machine})
    if outcome.stopped not in (None, INTERRUPTED):
        raise BrambleError(str(outcome.stopped))
    rows = [round_row(each) for each in outcome.played]
    theirs = [row for each in outcome.played for row in client_rows(each)]
    return Simulated(_table(rows), _table(theirs), {**outcome.summary, "machine": outcome.machine})


def experiment(file: str | Path, out: Path | None = None, **settings: Any) -> Experimented:
    """Run what of an experiment's file was not run yet, write its report, and return all of it, as ``bramble experiment`` does.

    Parameters
    ----------
    file
        The experiment: a title, ``[simulate]`` or ``[fleet]`` for all of its runs, and ``[grid]`` with lists of what differs.
    out
        Folder for the results; by default the file's name without its ending.
    settings
        The command's other flags, such as ``workers``.

    Raises
    ------
    BrambleError
        If it cannot begin, or a simulation cannot go on; what was run is kept.
    """
    given = flags.of_values(ExperimentSettings, {"file": str(file), "out": out, **settings})
    found, cells, words = experimenting.played(given, Console(quiet=True))
    folder = experimenting.place(given)
    report.write(found, cells, folder, words)
    lines = [
        {"cell": each.cell.label, "seed": seed, **{name: _number(value) for name, value in row.items()}}
        for each in cells
        for seed, rows in sorted(each.rounds.items())
        for row in rows
    ]
    return Experimented(_table(list(report.rows(cells))), _table(lines), folder)


def _table(rows: list[dict[str, Any]]) -> Table:
    return table("", rows, list(rows[0]) if rows else ("round",))


def _number(text: str) -> Any:
    """Return a cell of a CSV file as what it was."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None
