"""What an experiment came to: a table of its cells, curves, and a page of Markdown that says how to repeat it."""

from __future__ import annotations

import csv
import logging
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bramble.simulation.grid import Cell, Experiment
from bramble_protocol.errors import BrambleError

COLUMNS = ("cell", "seed", "error", "baseline", "unit", "committed", "simulated_s", "trainings", "bytes", "reached", "digest")
FEW = 7
"""Curves of which each is drawn wider than those above it."""


@dataclass(frozen=True)
class Repeats:
    """A cell with what each of its seeds came to."""

    cell: Cell[Any]
    summaries: Mapping[int, Mapping[str, Any]]
    """By seed, as a simulation's ``summary.json`` has them."""
    rounds: Mapping[int, Sequence[Mapping[str, str]]]
    """By seed, as its ``rounds.csv`` has them."""

    def of(self, name: str) -> list[float]:
        """Return one figure of the summaries, by seed."""
        return [float(summary[name]) for _, summary in sorted(self.summaries.items())]

    @property
    def error(self) -> str:
        """Mean and standard deviation of the last model's error over the seeds."""
        return _spread(self.of("error"))

    @property
    def reached(self) -> str:
        """Likewise, how far an attack that wants something of the model has it; nothing for one that does not."""
        known = next(iter(self.summaries.values())).get("reached") is not None
        return _spread([100 * part for part in self.of("reached")], 0) + " %" if known else ""

    @property
    def gain(self) -> float:
        """How far the error is below the baseline's, in percent; mean over the seeds."""
        return statistics.mean(100 * (1 - e / b) if b else 0.0 for e, b in zip(self.of("error"), self.of("baseline"), strict=True))

    def curve(self, column: str) -> tuple[list[float], list[float], list[float], list[float]]:
        """Return a column's mean, and mean, least and greatest error over the seeds, round by round."""
        along = list(zip(*(self.rounds[seed] for seed in sorted(self.rounds)), strict=False))
        errors = [[float(row["error"]) for row in rows] for rows in along]
        xs = [statistics.mean(float(row[column]) for row in rows) for rows in along]
        return xs, [statistics.mean(each) for each in errors], [min(each) for each in errors], [max(each) for each in errors]


@dataclass(frozen=True)
class Words:
    """What a report says of where its figures come from."""

    metric: str
    """What the error is called, with its unit."""
    who: str
    """Who learnt."""
    error: str
    """Whose error it is, and on what."""
    command: str
    """With which it is repeated."""
    again: str
    """What then comes of it."""


def write(experiment: Experiment[Any], cells: Sequence[Repeats], folder: Path, words: Words) -> list[Path]:
    """Write ``cells.csv``, ``curves.png`` and ``.svg``, and ``report.md``; return them.

    Parameters
    ----------
    words
        Where its figures come from.

    Raises
    ------
    BrambleError
        If they cannot be written.
    """
    try:
        table = folder / "cells.csv"
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows(cells))
        curves = _drawn(experiment, cells, folder, words)
        page = folder / "report.md"
        page.write_text(_page(experiment, cells, words, curves), "utf-8")
    except OSError as error:
        raise BrambleError(f"out: {folder} cannot be written to ({error.strerror})") from error
    return [page, table, *curves]


def rows(cells: Sequence[Repeats]) -> Iterator[dict[str, Any]]:
    """Yield a line for each cell and seed."""
    for each in cells:
        for seed, summary in sorted(each.summaries.items()):
            yield {"cell": each.cell.label, "seed": seed, **{name: summary.get(name) for name in COLUMNS[2:]}}


def _drawn(experiment: Experiment[Any], cells: Sequence[Repeats], folder: Path, words: Words) -> list[Path]:
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        return []
    mpl.use("Agg")
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    panes = figure.subplots(1, 2, sharey=True)
    for pane, column, name in zip(panes, ("round", "ended"), ("round", "seconds"), strict=True):
        for index, each in enumerate(cells):
            xs, mean, low, high = each.curve(column)
            below = len(cells) - 1 - index if len(cells) <= FEW else 0  # wider, so that it is seen below others that are alike
            [line] = pane.plot(xs, mean, label=each.cell.label, linewidth=1.5 + below)
            pane.fill_between(xs, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        pane.axhline(statistics.mean(cells[0].of("baseline")), color="0.5", linestyle="--", linewidth=1, label="baseline")
        pane.set_xlabel(name)
        pane.xaxis.set_major_locator(MaxNLocator(integer=True))
        pane.grid(alpha=0.25)
    panes[0].set_ylabel(words.metric)
    figure.suptitle(experiment.title)
    handles, labels = panes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False, fontsize="small")
    paths = [folder / f"curves.{kind}" for kind in ("png", "svg")]
    with mpl.rc_context({"svg.hashsalt": "bramble"}):  # the same results give the same file
        figure.savefig(paths[0], dpi=150)
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def _page(experiment: Experiment[Any], cells: Sequence[Repeats], words: Words, curves: Sequence[Path]) -> str:
    many = len(experiment.seeds) > 1
    best, aimed = max(cells, key=lambda each: each.gain), any(each.reached for each in cells)
    lines = [
        f"# {experiment.title}",
        "",
        f"{words.who}, {len(experiment.cells)} cells of {len(experiment.seeds)} seed{'s' * many} "
        f"({', '.join(map(str, experiment.seeds))}). The error is {words.error}{', mean and standard deviation over the seeds' * many}.",
        "",
        _row("cell", words.metric, "below the baseline", "time", "sent by clients", *["attack's aim reached"] * aimed),
        "|---" * (5 + aimed) + "|",
    ]
    for each in cells:
        name = f"**{each.cell.label}**" if each is best and len(cells) > 1 else each.cell.label
        seconds, sent = statistics.mean(each.of("simulated_s")), statistics.mean(each.of("bytes")) / 1e6
        lines.append(_row(name, each.error, f"{each.gain:.1f} %", f"{seconds:,.0f} s", f"{sent:,.2f} MB", *[each.reached] * aimed))
    baseline, unit = statistics.mean(cells[0].of("baseline")), cells[0].summaries[experiment.seeds[0]]["unit"]
    lines += ["", f"Baseline: {baseline:.3f} {unit}.", ""]
    if curves:
        band = "; the bands go from the least to the greatest of the seeds" if many else ""
        lines += [
            f"![Error by round and by time]({curves[0].name})",
            "",
            f"Curves by round and by time{band}.",
            "",
        ]
    lines += [
        "## To repeat it",
        "",
        "```console",
        words.command,
        "```",
        "",
        f"Bramble {version('bramble-fl')}, numpy {version('numpy')}, Python {platform.python_version()}, {platform.machine()}. "
        f"{words.again}",
        "",
        _row("cell", *(f"seed {seed}" for seed in experiment.seeds)),
        "|---" * (1 + len(experiment.seeds)) + "|",
        *(_row(each.cell.label, *(f"`{each.summaries[seed]['digest']}`" for seed in experiment.seeds)) for each in cells),
        "",
    ]
    return "\n".join(lines)


def _spread(values: Sequence[float], digits: int = 3) -> str:
    """Return mean and standard deviation."""
    return f"{statistics.mean(values):.{digits}f}" + (f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else "")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
