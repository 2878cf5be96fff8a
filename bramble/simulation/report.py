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
"""Curves that one pane shows apart, each drawn wider than those above it."""
FAR = 1.1
"""Times the baseline up to which errors are drawn."""
WIDE = 150
"""Letters that fit beside each other below the curves."""
STYLES = ("-", "--", ":", "-.")
"""Of lines, a style for every ten colours."""


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

    groups = grouped(cells)
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    figure = Figure(figsize=(11, max(4.5, 2.4 * len(groups) + 0.2 * len(names))), layout="constrained")
    panes = figure.subplots(len(groups), 2, sharex="col", sharey=True, squeeze=False)
    for row, (what, group) in zip(panes, groups.items(), strict=True):
        for pane, column in zip(row, ("round", "ended"), strict=True):
            _curves(pane, column, group, names)
        row[0].set_ylabel("\n".join(filter(None, (what, words.metric))))
    for pane, name in zip(panes[-1], ("round", "seconds"), strict=True):
        pane.set_xlabel(name)
    if (top := highest(cells)) is not None:
        lowest = min(min(each.curve("round")[2]) for each in cells)
        panes[0][0].set_ylim(lowest - 0.05 * (top - lowest), top)
    figure.suptitle(experiment.title)
    lines = {label: line for row in panes for line, label in zip(*row[0].get_legend_handles_labels(), strict=True)}
    columns = max(1, min(4, len(lines), WIDE // (4 + max(map(len, lines)))))
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=columns, frameon=False, fontsize="small")
    paths = [folder / f"curves.{kind}" for kind in ("png", "svg")]
    with mpl.rc_context({"svg.hashsalt": "bramble"}):  # the same results give the same file
        figure.savefig(paths[0], dpi=150)
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def _curves(pane: Any, column: str, group: Mapping[str, Repeats], names: Sequence[str]) -> None:
    """Draw cells by a column, each in the colour that its name has in all panes."""
    from matplotlib.ticker import MaxNLocator

    for name, each in group.items():
        xs, mean, low, high = each.curve(column)
        at = names.index(name)
        below = len(names) - 1 - at if len(names) <= FEW else 0  # wider, so that it is seen below others that are alike
        [line] = pane.plot(xs, mean, color=f"C{at}", linestyle=STYLES[at // 10 % len(STYLES)], label=name, linewidth=1.5 + below)
        pane.fill_between(xs, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    baseline = statistics.mean(next(iter(group.values())).of("baseline"))
    pane.axhline(baseline, color="0.5", linestyle="--", linewidth=1, label="baseline")
    pane.xaxis.set_major_locator(MaxNLocator(integer=True))
    pane.grid(alpha=0.25)


def grouped(cells: Sequence[Repeats]) -> dict[str, dict[str, Repeats]]:
    """Return the cells by name, apart by the first that differs between them where they are too many for one pane."""
    if len(cells) <= FEW or len(cells[0].cell.values) < 2:
        return {"": {each.cell.label: each for each in cells}}
    found: dict[str, dict[str, Repeats]] = {}
    for each in cells:
        first, others = each.cell.parts
        found.setdefault(first, {})[others] = each
    return found


def highest(cells: Sequence[Repeats]) -> float | None:
    """Return where an axis of errors ends; None: where they do. One that went far above the baseline would hide how the others differ."""
    top = FAR * statistics.mean(cells[0].of("baseline"))
    return top if any(max(each.curve("round")[3]) > top for each in cells) else None


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
        far = f"; what lies above {FAR:g} times the baseline is not shown" if highest(cells) is not None else ""
        lines += [
            f"![Error by round and by time]({curves[0].name})",
            "",
            f"Curves by round and by time{band}{far}.",
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
