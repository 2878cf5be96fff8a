"""Does a site notice that it has changed, and say nothing of weather? Seven stations, and thermometers that go wrong in their year."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import year
from bench.learning import SEED, Site
from bench.table import Row
from bramble_client.hal.sim import recordings
from bramble_client.learn import local_state
from bramble_protocol.graph import GraphFile
from bramble_server import tasks

BROKEN = ("chicago", "miami")
WRONG_FROM = 0.6
"""Part of the year after which a thermometer goes wrong."""
OTHERS, EARLIER = (("tucson", "greensboro"), ("sand-point", "tucson"), ("greensboro", "sand-point")), 0.35
"""Stations and a month with which no limit was chosen, pair by pair for each fault."""
Fault = Callable[[NDArray[np.float64]], NDArray[np.float64]]
FAULTS: dict[str, tuple[Fault, float | None]] = {
    "noise of 2 °C": (lambda v: v + np.random.default_rng(SEED).normal(0, 2, len(v)), 14),
    "one in twenty 10 °C too high": (lambda v: v + np.where(np.random.default_rng(SEED).random(len(v)) < 0.05, 10, 0), 30),
    "three times too steep": (lambda v: v.mean() + 3 * (v - v.mean()), 14),
}
"""Each with the days within which it must be found."""


def alarms(graph: GraphFile, sites: list[Site], folder: Path) -> dict[str, list[int]]:
    """Play the year; return the days on which each site's alarms were raised."""
    found: dict[str, list[int]] = {site.name: [] for site in sites}
    for week in year.lived(graph, sites, folder):
        if week.result is None:
            continue
        drift = local_state.read(week.result.local_state, graph.manifest, graph.state).own.drift
        if drift.since is not None and drift.found_on not in found[week.site]:
            found[week.site].append(drift.found_on)
    return found


def broken(site: Site, fault: Fault, wrong_from: float) -> Site:
    values, wrong = site.values.copy(), round(wrong_from * len(site.times))
    values[wrong:, 0] = fault(values[wrong:, 0])
    return replace(site, values=values)


def from_july(site: Site) -> Site:
    """Return its year beginning in the middle: another order of seasons, and a model that learnt them so."""
    half = len(site.times) // 2
    return replace(site, values=np.concatenate([site.values[half:], site.values[:half]]))


def noticed(graph: GraphFile, sites: list[Site], hurt: Sequence[str], name: str, wrong_from: float) -> Row:
    """Break the thermometers of some sites in one way, from a part of the year on; return how many days go by until each says so."""
    fault, within = FAULTS[name]
    with tempfile.TemporaryDirectory() as folder:
        found = alarms(graph, [broken(site, fault, wrong_from) if site.name in hurt else site for site in sites], Path(folder))
    began = {site.name: int(site.times[round(wrong_from * len(site.times))] // 86400) for site in sites}
    after = {site: [day - began[site] for day in days if day >= began[site]] for site, days in found.items()}
    others = sum(len(days) for site, days in after.items() if site not in hurt)
    late = {site: min(after[site], default=365) for site in hurt}
    told = ", ".join(f"{site} after {days} days" if after[site] else f"{site} never" for site, days in late.items())
    return Row(f"Days until found: {name}", max(late.values()), "days", within, f"{told}; {others} alarms at the five others")


def quiet(graph: GraphFile, sites: list[Site], which: str) -> Row:
    """Return how many alarms mere weather raises."""
    with tempfile.TemporaryDirectory() as folder:
        found = alarms(graph, sites, Path(folder))
    return Row(f"Alarms in seven years of weather, {which}", sum(map(len, found.values())), "", 1, ", ".join(found))


def main() -> list[Row]:
    graph = tasks.load("climate")
    sites = [Site.load(name, graph) for name in recordings.builtin()]
    rows = [quiet(graph, sites, "four of which the limits were chosen on")]
    rows += [noticed(graph, sites, BROKEN, name, WRONG_FROM) for name in FAULTS]
    rows.append(quiet(graph, [from_july(site) for site in sites], "from July to July, on which they were not"))
    for name, hurt in zip(FAULTS, OTHERS, strict=True):
        row = noticed(graph, sites, hurt, name, EARLIER)
        rows.append(replace(row, name=f"{row.name}, other stations and another month"))
    return rows
