"""Seven stations live through their year, a round a week: what comes is tested with what there was before it, then trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.learning import SEED, Site
from bramble_client.learn import local_state
from bramble_client.learn.plausibility import Unbelievable
from bramble_client.learn.trainer import Result, Trainer
from bramble_client.use.own import Own
from bramble_protocol.graph import GraphFile
from bramble_protocol.layout import Weights
from bramble_protocol.messages import ClientUpdate
from bramble_server.learning.strategies import Update, create

ROUNDS = 52
"""A week each."""


@dataclass(frozen=True)
class Week:
    """A site's part in one round."""

    site: str
    now: Site
    """What it has recorded."""
    model: Weights
    """What came with the round, shape (parameters,)."""
    own: Own
    """What it kept beside it, from the rounds before."""
    tested_until: float | None
    result: Result | None
    """What it answered; None where it does not believe its readings, which is said by that."""


def lived(graph: GraphFile, sites: Sequence[Site], folder: Path) -> Iterator[Week]:
    """Play the year; yield the sites' weeks, in the order of the rounds."""
    manifest, model = graph.manifest, graph.initial
    trainers = {site.name: Trainer(folder / site.name, lambda _: graph.data, site.name) for site in sites}
    last: dict[str, Result] = {}
    for number in range(1, ROUNDS + 1):
        config = replace(manifest.config, epochs=1, seed=SEED, deadline_s=3600.0)  # a busy machine costs no site its week
        update = ClientUpdate(number, manifest.task, graph.sha256, manifest.layout, "float32", "float32", model, config)
        strategy = create("fedavg")
        strategy.begin(model)
        for site in sites:
            now, before = site.until(number * len(site.times) // ROUNDS), last.get(site.name)
            until, noted = (before.tested_until, before.local_state) if before else (None, None)
            result = None
            try:
                result = last[site.name] = trainers[site.name].run(update, now.columns, until, noted=noted)
                strategy.fold(Update(site.name, result.complete.samples, result.complete.weights, result.complete.metrics))
            except Unbelievable:
                pass
            yield Week(site.name, now, model, local_state.read(noted, manifest, graph.state).own, until, result)
        model = strategy.finish()
