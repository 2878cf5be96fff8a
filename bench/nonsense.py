"""What one broken sensor costs the others of a learning fleet, and what being on guard costs a fleet that is well."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.learning import SITES, Site, rmse
from bench.table import Row
from bramble_client.hal.channels import quantity
from bramble_client.learn.plausibility import Unbelievable, WindowDoubts
from bramble_client.learn.runner import Runner
from bramble_client.learn.runtime import Graph, Runtime
from bramble_client.learn.trainer import NotEnoughData, Trainer, TrainingFault
from bramble_client.learn.windows import Windows, windows
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile
from bramble_protocol.layout import Weights
from bramble_protocol.messages import ClientUpdate, Delivery, TrainingComplete
from bramble_server import tasks
from bramble_server.learning.judge import Judge
from bramble_server.learning.strategies import create
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.roundfile import Header, RoundFile

ROUNDS, SEEDS = 9, 10
PER_ROUND = 500
"""Hours that each client lives between two rounds, as in the README."""
AFTERWARDS = 1000
"""Hours after the last round on which the model is tested."""
CLEAN_ROUNDS = 15
FORMER = Path(__file__).parents[1] / "tests" / "runtimes" / "references" / "climate-0.1.tflite"
Values = NDArray[np.float64]
Kind = Callable[[Values, np.random.Generator], Values]
RANGES = np.array([(quantity(key).low, quantity(key).high) for key in ("temperature", "humidity", "pressure")])
LOW, SPAN = RANGES[:, 0], np.diff(RANGES)[:, 0]


def noise(width: float, channels: Sequence[int] = (0, 1, 2)) -> Kind:
    """Uniform noise over so much of these channels' ranges, anywhere in them."""

    def broken(values: Values, rng: np.random.Generator) -> Values:
        drawn = LOW + SPAN * ((1 - width) * rng.random(3) + width * rng.random(values.shape))
        chosen = list(channels)
        made = values.copy()
        made[:, chosen] = drawn[:, chosen]
        return made

    return broken


def flapping(values: Values, rng: np.random.Generator) -> Values:
    """From one end of the range to the other and back, with each reading or at random."""
    pick = rng.integers(0, 2, values.shape) if rng.random() < 0.5 else np.arange(len(values))[:, None] % 2 * np.ones(3)
    return np.asarray(LOW + SPAN * pick)


def spikes(values: Values, rng: np.random.Generator) -> Values:
    """One reading in fifty is anything."""
    return np.where(rng.random(len(values))[:, None] < 0.02, LOW + SPAN * rng.random(values.shape), values)


KINDS: dict[str, Kind] = {
    **{f"noise over {width:g} of each range": noise(width) for width in (0.1, 0.25, 0.5, 1.0)},
    **{f"noise over {width:g} of the temperature's range": noise(width, [0]) for width in (0.1, 0.25, 1.0)},
    "flapping between the ends": flapping,
    "stuck": lambda values, rng: np.repeat(values[:1], len(values), 0),
    "one spike in fifty": spikes,
    "Pa for hPa": lambda values, rng: values * [1, 1, 100],
    "°F for °C": lambda values, rng: values * [1.8, 1, 1] + [32, 0, 0],
}


class Trusting(WindowDoubts):
    """A client of release 0.1: it believes whatever its sensors say."""

    def believable(self, graph: Graph, data: Windows) -> Windows:
        """Return all of them."""
        return data


@dataclass
class Fleet:
    """Real trainers on one graph, and the server's judge and strategy between them."""

    graph: GraphFile
    runner: Runner
    folder: Path
    judged: bool = True
    trusting: bool = False

    def learn(self, sites: Sequence[Site], start: int, seed: int, rounds: int = ROUNDS) -> tuple[Weights, list[str]]:
        """Play so many rounds from an hour on; return the model, and who was left out or sent nothing, one name for each time."""
        model, judge, out = self.graph.initial, Judge(), list[str]()
        trainers = {site.name: Trainer(self.folder, lambda _: self.graph.data, site.name, self.runner) for site in sites}
        if self.trusting:
            for trainer in trainers.values():
                trainer._doubts = Trusting()
        tested: dict[str, float | None] = dict.fromkeys(trainers)
        config = replace(self.graph.manifest.config, seed=seed, deadline_s=600.0)
        for number in range(1, rounds + 1):
            manifest = self.graph.manifest
            update = ClientUpdate(number, manifest.task, self.graph.sha256, manifest.layout, "float32", "float32", model, config)
            with closing(opened(self, number, tuple(trainers), model)) as open_round:
                for site in sites:
                    lived = part(site, start, PER_ROUND * number)
                    try:
                        result = trainers[site.name].run(update, lived.columns, tested[site.name])
                    except (Unbelievable, NotEnoughData, TrainingFault):
                        out.append(site.name)
                        continue
                    tested[site.name] = result.tested_until
                    deliver(open_round, site.name, _on_the_wire(result.complete))
                model = self._aggregate(open_round, judge, model)
                out += open_round.left_out
        return model, out

    def _aggregate(self, open_round: OpenRound, judge: Judge, model: Weights) -> Weights:
        try:
            new, pooled = open_round.aggregate(judge if self.judged else Credulous(), 1)
        except BrambleError:
            return model
        judge.committed(pooled)
        return new.weights


class Credulous(Judge):
    """Takes whatever comes for what it says, as release 0.1 did."""

    def verdicts(self, reports: Any, model_norm: float, compared: bool = True) -> Any:
        """Let all of them count as they claim."""
        return {client: replace(verdict, reason=None, reach=1.0) for client, verdict in super().verdicts(reports, model_norm).items()}

    def explosion(self, reports: Any, pooled: Any) -> None:
        """Let every round become the model."""


def opened(fleet: Fleet, number: int, clients: tuple[str, ...], model: Weights) -> OpenRound:
    """Open a round as a server does."""
    header = Header(number, fleet.graph.sha256, "evaluation", len(model), clients, time.time(), time.time() + 600)
    return OpenRound(fleet.graph.manifest.task, RoundFile.create(fleet.folder / "open.round", header), model, create("fedavg"))


def deliver(open_round: OpenRound, client: str, complete: TrainingComplete) -> None:
    """Have it take an update."""
    delivery = Delivery.from_wire(complete.to_wire(), complete.layout)
    open_round.take([(client, delivery, None)])
    open_round.fold(client)


def _on_the_wire(complete: TrainingComplete) -> TrainingComplete:
    return TrainingComplete.from_wire(complete.to_wire(), complete.layout)


def part(site: Site, start: int, count: int) -> Site:
    """Return so many readings from an hour on."""
    return Site(site.name, site.times[start : start + count], site.values[start : start + count])


def trial(fleets: Sequence[Fleet], sites: Sequence[Site], seed: int, kinds: dict[str, Kind]) -> list[dict[str, float]]:
    """Break one client's sensor in each of these ways; return what that costs the others in each fleet, as a ratio of their error."""
    rng = np.random.default_rng([seed, 1])
    broken, start = sites[seed % len(sites)], int(rng.integers(0, 8760 - ROUNDS * PER_ROUND - AFTERWARDS))
    good = [site for site in sites if site is not broken]
    runtime = Runtime(fleets[0].graph.flatbuffer)
    later = [part(site, start + ROUNDS * PER_ROUND, AFTERWARDS) for site in good]
    ahead = [windows(site.times, site.values, fleets[0].graph.manifest) for site in later]

    def error(fleet: Fleet, playing: Sequence[Site]) -> float:
        model, _ = fleet.learn(playing, start, seed)
        return float(np.sqrt(np.mean(rmse(fleet.graph, runtime, ahead, model) ** 2)))

    alone = [error(fleet, good) for fleet in fleets]
    found: list[dict[str, float]] = [{} for _ in fleets]
    for name, make in kinds.items():
        site = Site(broken.name, broken.times, make(broken.values, np.random.default_rng([seed, 7])))
        for ratios, fleet, without in zip(found, fleets, alone, strict=True):
            ratios[name] = error(fleet, [*good, site]) / without
    return found


def curve(fleet: Fleet, sites: Sequence[Site], seed: int, rounds: int) -> NDArray[np.float64]:
    """Mean held-out RMSE of a fleet that is well, after each round, on whole years."""
    runtime, manifest = Runtime(fleet.graph.flatbuffer), fleet.graph.manifest
    held_out = [windows(site.times[site.cut :], site.values[site.cut :], manifest) for site in sites]
    judge, model, errors = Judge(), fleet.graph.initial, []
    trainers = {site.name: Trainer(fleet.folder, lambda _: fleet.graph.data, site.name, fleet.runner) for site in sites}
    config = replace(manifest.config, seed=seed, deadline_s=600.0)
    for number in range(1, rounds + 1):
        update = ClientUpdate(number, manifest.task, fleet.graph.sha256, manifest.layout, "float32", "float32", model, config)
        with closing(opened(fleet, number, tuple(trainers), model)) as open_round:
            for site in sites:
                deliver(open_round, site.name, trainers[site.name].run(update, site.until(site.cut).columns, None).complete)
            aggregate, pooled = open_round.aggregate(judge if fleet.judged else Credulous(), 1)
            judge.committed(pooled)
        model = aggregate.weights
        errors.append(rmse(fleet.graph, runtime, held_out, model).mean())
    return np.array(errors)


def rounds_to(errors: NDArray[np.float64], wanted: float) -> float:
    """Return after how many rounds an error is reached for the first time, between two rounds by a straight line."""
    for number, (before, after) in enumerate(itertools.pairwise([np.inf, *errors]), 1):
        if after <= wanted:
            return number if np.isinf(before) else number - 1 + (before - wanted) / (before - after)
    return np.inf


def main() -> list[Row]:
    graph, former = tasks.load("climate"), GraphFile.read(FORMER.read_bytes())
    sites = [Site.load(name, graph) for name in SITES]
    with tempfile.TemporaryDirectory() as name, closing(Runner()) as runner, closing(Runner()) as other:
        folder = Path(name)
        fleets = [Fleet(graph, runner, folder), Fleet(graph, runner, folder, trusting=True)]
        trials = [trial(fleets, sites, seed, KINDS) for seed in range(SEEDS)]
        before = np.mean([curve(Fleet(former, other, folder, judged=False), sites, seed, CLEAN_ROUNDS) for seed in range(2)], 0)
        now = np.mean([curve(Fleet(graph, runner, folder), sites, seed, CLEAN_ROUNDS) for seed in range(2)], 0)
    rows = []
    for kind in KINDS:
        ratios, old = ([found[which][kind] for found in trials] for which in (0, 1))
        context = f"worst of {SEEDS} seeds, median {np.median(ratios):.3f}; with clients of release 0.1 {max(old):.3f}"
        rows.append(Row(f"{kind}: the good ones' error, to that without it", max(ratios), "", 1.05, context))
    slower = max(rounds_to(now, error) / rounds_to(before, error) for error in before[2:])
    context = (
        f"release 0.1's graph and plain FedAvg, five stations; after {CLEAN_ROUNDS} rounds {now[-1]:.3f} °C against {before[-1]:.3f} °C"
    )
    return [*rows, Row("clean data: rounds to the same error", slower, "", 1.02, context)]
