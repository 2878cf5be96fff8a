"""``bramble experiment``: a grid of simulations from one file, which may be stopped and gone on with, and one report of all."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bramble.settings import ExperimentSettings
from bramble.simulation import grid, report
from bramble.simulation.results import SUMMARY, Folder
from bramble.simulation.rounds import Played
from bramble.simulation.run import INTERRUPTED, Run
from bramble_protocol import BrambleError

TITLE = "experiment.json"


def run(settings: ExperimentSettings) -> int:
    """Run what of an experiment was not run yet, and write its report; return the exit code.

    Raises
    ------
    BrambleError
        If it cannot begin, or a simulation cannot go on; what was run is kept.
    """
    console = Console(highlight=False)
    try:
        experiment, cells = played(settings, console)
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on with what is left.", soft_wrap=True)
        return 130
    folder, metric = place(settings), experiment.metric
    console.print()
    for written in report.write(experiment, cells, folder, f"{metric.name}, {metric.unit}"):
        console.print(str(written), soft_wrap=True)
    if not (folder / "curves.png").exists():
        console.print("No curves were drawn: that takes pip install 'bramble-fl[simulation]'", soft_wrap=True)
    return 0


def place(settings: ExperimentSettings) -> Path:
    """Return the folder for an experiment's results."""
    return settings.out or Path(settings.file).with_suffix("")


def played(settings: ExperimentSettings, console: Console) -> tuple[grid.Experiment, list[report.Repeats]]:
    """Run what of an experiment was not run yet; return it with what each of its cells came to.

    Raises
    ------
    BrambleError
        If it cannot begin, or a simulation cannot go on; what was run is kept.
    KeyboardInterrupt
        If somebody stopped it.
    """
    experiment, folder = grid.read(Path(settings.file), settings), place(settings)
    _claim(folder, experiment.title)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        found = _run(experiment, folder, progress)
    return experiment, [
        report.Repeats(cell, {seed: _summary(at) for seed, at in paths.items()}, {seed: _rounds(at) for seed, at in paths.items()})
        for cell, paths in zip(experiment.cells, found, strict=True)
    ]


def _run(experiment: grid.Experiment, folder: Path, progress: Progress) -> list[dict[int, Path]]:
    """Run what was not run yet, with a line for each; return by cell and seed where the results are."""
    bar = progress.add_task("simulations", total=len(experiment.cells) * len(experiment.seeds))
    found: list[dict[int, Path]] = []
    for cell in experiment.cells:
        found.append({})
        for seed, settings in cell.settings.items():
            ready, label = Run(settings), f"{cell.label}, seed {seed}"
            at = folder / "runs" / ready.name
            kept = _finished(at)
            summary, metric = kept or _simulated(ready, at, progress, label), ready.metric
            told = f"{metric.name} {summary['error']:.3f} {metric.unit}, baseline {summary['baseline']:.3f}"
            progress.console.print(f"{label}: {told}{'  (kept)' if kept else ''}", soft_wrap=True)
            progress.update(bar, advance=1)
            found[-1][seed] = at
    return found


def _claim(folder: Path, title: str) -> None:
    """Make the folder this experiment's, which may go on in it, also when its grid has grown."""
    note = folder / TITLE
    try:
        if folder.exists() and any(folder.iterdir()):
            try:
                former = json.loads(note.read_text("utf-8"))["title"]
            except (OSError, ValueError, KeyError, TypeError):
                raise BrambleError(f"out: {folder} is not empty, and holds no experiment; name another folder with --out") from None
            if former != title:
                raise BrambleError(f"out: {folder} holds another experiment, {former!r}; name another folder with --out")
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"title": title}) + "\n", "utf-8")
    except OSError as error:
        raise BrambleError(f"out: {folder} cannot be written to ({error.strerror})") from error


def _simulated(ready: Run, at: Path, progress: Progress, label: str) -> Mapping[str, Any]:
    """Run one simulation and keep its results; return their summary."""
    results = Folder(at, ready.about)
    bar = progress.add_task(label, total=ready.settings.rounds)

    def told(played: Played) -> None:
        results.add(played)
        progress.update(bar, advance=1)

    outcome = ready.play(told)
    progress.remove_task(bar)
    if outcome.stopped == INTERRUPTED:
        raise KeyboardInterrupt
    results.write(outcome.played, {**outcome.summary, "machine": outcome.machine})
    if outcome.stopped:
        raise BrambleError(f"{label}: {outcome.stopped}")
    return outcome.summary


def _finished(at: Path) -> Mapping[str, Any] | None:
    """Return the summary of a simulation that was run before, None if it was not, or not to its end."""
    try:
        found = _summary(at)
    except (OSError, ValueError):
        return None
    return found if found.get("finished") else None


def _summary(at: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((at / SUMMARY).read_text("utf-8"))
    return found


def _rounds(at: Path) -> list[dict[str, str]]:
    with (at / "rounds.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
