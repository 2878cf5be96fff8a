"""Runs of experiments over each other: a colour for each kind, thin for each seed, thick for their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bramble_inspector import runs
from bramble_inspector.figures import style
from bramble_inspector.figures.learning import whole_rounds
from bramble_inspector.runs import Run

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's that stand out from white and from a dark page; after them the dashes tell on."""
DASHES = ("solid", "dash", "dot", "dashdot")
MOST_SEEDS = 10
"""Thin lines of a kind."""
TITLES = {
    "error": "error",
    "loss_before": "loss before local training",
    "loss_after": "loss after local training",
    "bytes": "bytes of a round",
}


def figure(kinds: Mapping[str, Sequence[Run]], column: str, over: int) -> style.Figure:
    """Plot a column of the rounds of each run, each value the mean of ``over`` rounds."""
    traces = []
    for place, (kind, members) in enumerate(kinds.items()):
        colour, dash = COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)]
        if len(members) > 1:
            for run in members[:MOST_SEEDS]:
                thin = style.line(
                    f"{kind}, seed {run.seed}",
                    list(run.rounds["round"]),
                    runs.smoothed(run.rounds[column], over),
                    colour,
                    "",
                    width=1,
                    dash=dash,
                )
                traces.append({**thin, "opacity": 0.35, "showlegend": False, "legendgroup": kind})
        numbers, values = runs.mean(members, column)
        name = f"{kind} ({len(members)} seeds)" if len(members) > 1 else kind
        thick = style.line(name, numbers, runs.smoothed(values, over), colour, "", width=3, dash=dash)
        traces.append({**thin_marker(thick, len(numbers)), "legendgroup": kind})
    traces = [trace for trace in traces if any(value is not None for value in trace["y"])]
    layout = style.layout("round", TITLES[column], f"overlay {column}", len(traces))
    layout |= {"showlegend": True, "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}, "hovermode": "closest"}
    layout |= {"height": 480}
    return {"data": traces, "layout": layout | whole_rounds(layout, traces)}


def thin_marker(trace: style.Figure, points: int) -> style.Figure:
    """Return a line on which a lone point can be seen."""
    return {**trace, "mode": "lines+markers", "marker": {"size": 5}} if points <= 40 else trace
