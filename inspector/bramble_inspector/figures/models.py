"""Models: where their weights lie, at which sites they win and lose, and which site is served best by which of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bramble.api import JSON
from bramble_inspector.figures import style

WIN, LOSE = "#0072b2", "#d55e00"
"""Okabe and Ito's blue and vermilion."""
MOST = 60
"""Sites drawn, those that fare worst."""
ROW_PX, FRAME_PX = 20, 90
_TENSORS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#d55e00")
_DASHES = ("solid", "dash", "dot", "dashdot")


def weights(histograms: Mapping[str, Sequence[Sequence[float]]], number: int) -> style.Figure:
    """Plot a line for each tensor: which part of its weights lies where."""
    traces = []
    for place, (name, (middles, parts)) in enumerate(histograms.items()):
        look = {"dash": _DASHES[place // len(_TENSORS) % len(_DASHES)], "width": 2}
        traces.append(style.line(name, list(middles), list(parts), _TENSORS[place % len(_TENSORS)], "of its weights", **look))
        traces[-1]["line"]["shape"] = "hvh"
    layout = style.layout("weight", "part of the tensor's weights", f"weights {number}", len(traces))
    layout |= {"showlegend": True, "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}, "hovermode": "closest"}
    layout["yaxis"]["tickformat"] = ".0%"
    return {"data": traces, "layout": layout}


def gains(found: Mapping[str, JSON]) -> dict[str, float]:
    """Return by which part the error at each site is below its baseline, the worst first."""
    known = {
        site: 1 - one["error"] / one["baseline"] for site, one in found.items() if one.get("error") is not None and one.get("baseline")
    }
    return dict(sorted(known.items(), key=lambda item: item[1]))


def sites(found: Mapping[str, JSON]) -> style.Figure:
    """Plot how far the model is better than the baseline, or worse, at each site, the worst first."""
    shown = dict(list(gains(found).items())[:MOST])
    traces = []
    for name, colour, kept in (("loses to the baseline", LOSE, False), ("beats the baseline", WIN, True)):
        part = {site: gain for site, gain in shown.items() if (gain >= 0) == kept}
        if part:
            bar = {"type": "bar", "orientation": "h", "name": name, "y": list(part), "x": [round(gain, 4) for gain in part.values()]}
            traces.append({**bar, "marker": {"color": colour}, "hovertemplate": "%{y}: %{x:+.1%}<extra></extra>"})
    layout = style.layout("error below (+) or above (−) the baseline's", "", "sites", len(traces))
    layout |= {"hovermode": "closest", "height": FRAME_PX + ROW_PX * max(4, len(shown)), "showlegend": True, "bargap": 0.3}
    layout |= {"legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}}
    layout["xaxis"] |= {"tickformat": "+.0%", "zeroline": True, "zerolinecolor": style.BASELINE, "zerolinewidth": 2}
    layout["yaxis"] |= {"autorange": "reversed", "type": "category", "categoryarray": list(shown), "categoryorder": "array"}
    return {"data": traces, "layout": layout}


def matrix(found: Mapping[str, Mapping[int, JSON]], title: str) -> style.Figure:
    """Plot the error of each model at each site; a site's models were tried on the same windows, so a row can be read across."""
    if not found:
        return {"data": [], "layout": {}}
    worst = sorted(found, key=lambda site: -max(one["error"] for one in found[site].values()))[:MOST]
    numbers = sorted({number for site in worst for number in found[site]})
    errors = [[found[site][number]["error"] if number in found[site] else None for number in numbers] for site in worst]
    trace = {
        "type": "heatmap", "name": title, "x": [f"round {number}" for number in numbers], "y": worst, "z": errors, "colorscale": "Cividis",
        "reversescale": True, "xgap": 2, "ygap": 2, "hoverongaps": False, "texttemplate": "%{z:.3~g}" if len(worst) <= 24 else "",
        "colorbar": {"title": {"text": title, "side": "right"}, "thickness": 12}, "hovertemplate": "%{y}, %{x}: %{z:.4~g}<extra></extra>",
    }  # fmt: skip
    layout = style.layout("the model of", "", "matrix", 1)
    layout |= {"hovermode": "closest", "height": FRAME_PX + 26 * max(4, len(worst))}
    layout["yaxis"] |= {"type": "category", "autorange": "reversed"}
    layout["xaxis"] |= {"type": "category"}
    return {"data": [trace], "layout": layout}
