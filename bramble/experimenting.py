"""``bramble experiment``: a grid of simulations, or of a fleet's rounds, from one file, which may be stopped and gone on with."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bramble import terminal
from bramble.settings import ExperimentSettings, SimulateSettings
from bramble.side_by_side import SideBySide
from bramble.simulation import grid, report, results
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
    console = Console(highlight=False, stderr=settings.as_json)
    try:
        experiment, cells, words = played(settings, console)
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on with what is left.", soft_wrap=True)
        return 130
    folder = place(settings)
    console.print()
    written = [str(path) for path in report.write(experiment, cells, folder, words)]
    told = {"title": experiment.title, "folder": str(folder), "written": written, "runs": list(report.rows(cells))}
    terminal.tell(settings.as_json, told, *written)
    if not (folder / "curves.png").exists():
        console.print("No curves were drawn: that takes pip install 'bramble-fl[simulation]'", soft_wrap=True)
    return 0


def place(settings: ExperimentSettings) -> Path:
    """Return the folder for an experiment's results."""
    return settings.out or Path(settings.file).with_suffix("")


def played(settings: ExperimentSettings, console: Console) -> tuple[grid.Experiment[Any], list[report.Repeats], report.Words]:
    """Run what of an experiment was not run yet; return it with what each of its cells came to, and how a report tells of it.

    Raises
    ------
    BrambleError
        If it cannot begin, or a run cannot go on; what was run is kept.
    KeyboardInterrupt
        If somebody stopped it.
    """
    path, folder = Path(settings.file), place(settings)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    progress = Progress(*columns, console=console, disable=not console.is_terminal)
    experiment: grid.Experiment[Any]
    if grid.is_of_a_fleet(path):
        experiment = grid.read_fleet(path)
        fleet = SideBySide(experiment, settings)
        _claim(folder, experiment.title)
        with progress:
            found, words = fleet.run(folder / "runs", progress), fleet.words
    else:
        experiment = grid.read(path, settings)
        _claim(folder, experiment.title)
        with progress:
            found = _run(experiment, folder, progress)
        words = _words(experiment, results.read(next(iter(found[0].values())))["machine"]["runtime"])
    both: zip[tuple[grid.Cell[Any], dict[int, Path]]] = zip(experiment.cells, found, strict=True)
    repeats = [
        report.Repeats(
            cell, {seed: results.read(at) for seed, at in paths.items()}, {seed: results.rounds_of(at) for seed, at in paths.items()}
        )
        for cell, paths in both
    ]
    return experiment, repeats, words


def _words(experiment: grid.Experiment[SimulateSettings], runtime: str) -> report.Words:
    metric = Run(experiment.common).metric
    clients = "Several numbers of" if experiment.varies("clients") else experiment.common.clients
    return report.Words(
        f"held-out {metric.name}, {metric.unit}",
        f"{clients} clients, simulated",
        "the last model's on what no client trained on",
        f"bramble experiment {shlex.quote(experiment.path.name)}",
        f"Trained by {runtime} {version(runtime.replace('_', '-'))}. The same seeds give these models, bit by bit:",
    )


def _run(experiment: grid.Experiment[SimulateSettings], folder: Path, progress: Progress) -> list[dict[int, Path]]:
    """Run what was not run yet, with a line for each; return by cell and seed where the results are."""
    bar = progress.add_task("simulations", total=len(experiment.cells) * len(experiment.seeds))
    found: list[dict[int, Path]] = []
    for cell in experiment.cells:
        found.append({})
        for seed, settings in cell.settings.items():
            ready, label = Run(settings), f"{cell.label}, seed {seed}"
            at = folder / "runs" / ready.name
            kept = results.finished(at)
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
    folder = results.Folder(at, ready.about)
    bar = progress.add_task(label, total=ready.settings.rounds)

    def told(played: Played) -> None:
        folder.add(played)
        progress.update(bar, advance=1)

    outcome = ready.play(told)
    progress.remove_task(bar)
    if outcome.stopped == INTERRUPTED:
        raise KeyboardInterrupt
    folder.write(outcome.played, {**outcome.summary, "machine": outcome.machine})
    if outcome.stopped:
        raise BrambleError(f"{label}: {outcome.stopped}")
    return outcome.summary
