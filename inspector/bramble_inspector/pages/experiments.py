"""Experiments: runs of simulations over each other, those too that run just now."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import Output, html

from bramble.api import JSON
from bramble_inspector import parts, words
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import overlay, style
from bramble_inspector.live import Answer, Page
from bramble_inspector.panels import Panel
from bramble_inspector.runs import COLUMNS, Runs, kinds
from bramble_inspector.tables import number, table

_OVER = {"each round": 1, "mean of 5": 5, "mean of 20": 20}
_UNSET = (
    "No folder of results was named. Start the inspector with `--experiments DIR`, where DIR is what `bramble experiment FILE --out DIR` "
    "or `bramble simulate --out DIR` writes to; what runs is shown while it runs."
)


def page(runs: Runs) -> Page:
    """Return the page, of the runs in a folder."""
    panel = Panel(
        "overlay", (), ("measure", "over", "kinds", "files"), lambda snapshot, picks: _figure(runs, picks), lambda s, p: _nothing(runs)
    )

    def refresh(answer: Answer, snapshot: Snapshot, picks: JSON) -> None:
        found = runs.look()
        answer.put("choice", [run.name for run in found], lambda: [{"value": _word(kind), "label": kind} for kind in kinds(found)])
        answer.put("table", [run.mark for run in found], lambda: _table(runs))
        # What is drawn depends on files, of which no snapshot knows
        files = [run.mark for run in found]
        answer.plot(
            panel, snapshot, {"files": files, **picks, "measure": picks["measure"] or COLUMNS[0], "over": picks["over"] or "each round"}
        )

    outputs = {"choice": Output("experiments-kinds", "data"), "table": Output("experiments-table", "children")}
    picks = {"measure": "experiments-measure", "over": "experiments-over", "kinds": "experiments-kinds"}
    return Page("experiments", "Experiments", "/experiments", layout, refresh, outputs, picks, (panel,))


def layout(measure: str | None = None, over: str | None = None, kinds: str = "", **_: str) -> list[Any]:
    """Return the page."""
    measures = [{"value": column, "label": column.replace("_", " ")} for column in COLUMNS]
    controls = [
        parts.pick("experiments-measure", measures, parts.known(measure, COLUMNS, COLUMNS[0]), "What is drawn"),
        parts.pick("experiments-over", list(_OVER), parts.known(over, _OVER, next(iter(_OVER))), "Smoothing"),
    ]
    chosen = dmc.MultiSelect(
        id="experiments-kinds", data=[], value=[kind for kind in kinds.split(",") if kind], placeholder="all kinds of runs",
        searchable=True, clearable=True, size="sm", **parts.aria(label="Kinds of runs"),
    )  # fmt: skip
    return [
        chosen,
        parts.plot("overlay", "Runs", "thick: the mean over seeds", controls),
        parts.panel("Runs in numbers", "", html.Div(id="experiments-table")),
        words.explain("loss", "baseline", "epsilon"),
    ]


def _figure(runs: Runs, picks: JSON) -> style.Figure:
    found = kinds(runs.look())
    chosen = {kind: members for kind, members in found.items() if not picks["kinds"] or _word(kind) in picks["kinds"]}
    return overlay.figure(chosen, parts.known(picks["measure"], COLUMNS, COLUMNS[0]), _OVER.get(picks["over"], 1))


def _word(kind: str) -> str:
    """Return a kind as the address has it, where commas stand between two."""
    return kind.replace(",", ";")


def _nothing(runs: Runs) -> str:
    if runs.folder is None:
        return _UNSET
    if not runs.folder.is_dir():
        return f"There is no folder {runs.folder} (`--experiments`). It is looked for again all the time."
    return f"No run has written a round to {runs.folder} yet. `bramble experiment FILE --out {runs.folder}` does."


def _table(runs: Runs) -> Any:
    rows = [
        [kind, run.seed, len(run.rounds["round"]), number(run.last), "over" if run.finished else "runs, or was stopped", run.name]
        for kind, members in kinds(runs.look()).items()
        for run in members
    ]
    return table("runs", ["Kind", "Seed", "Rounds", "Last error", "State", "Folder"], rows) if rows else parts.empty(_nothing(runs))
