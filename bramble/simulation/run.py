"""One simulation from its settings to its results, for the command and for every cell of an experiment."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from bramble.settings import SimulateSettings
from bramble.simulation import attacks, places, scenario
from bramble.simulation.asynchronous import simulation_of
from bramble.simulation.rounds import Played
from bramble.simulation.scenario import Scenario
from bramble.simulation.unjudged import Unjudged
from bramble.simulation.workers import Threads, Workers
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import Metric
from bramble_server import foundation
from bramble_server.learning import codec, strategies
from bramble_server.round_settings import RoundSettings
from bramble_server.settings import Alone
from bramble_server.tracking import begun

OWN = ("clients", "rounds", "seed", "windows", "data", "attack", "attack_option", "attackers", "judged")
"""What a simulation's results depend on beside the settings of its rounds and its scenario."""
INTERRUPTED = "interrupted"
"""Why a run stopped that somebody stopped."""


@dataclass(frozen=True)
class Outcome:
    """What a simulation came to."""

    played: list[Played]
    stopped: str | None
    """Why it ended before its last round; None if it did not."""
    seconds: float
    """That it took here."""
    runtime: str
    """Name of the TensorFlow Lite runtime."""
    unit: str
    digest: str
    """What tells the last model from any other."""

    @property
    def summary(self) -> dict[str, Any]:
        """The same with the same settings, on any machine of one kind."""
        played = self.played
        return {
            "finished": self.stopped is None,
            "stopped": self.stopped,
            "committed": sum(each.state == "committed" for each in played),
            "simulated_s": played[-1].ended if played else 0.0,
            "trainings": sum(part["samples"] is not None for each in played for part in each.parts.values()),
            "bytes": sum(part["bytes"] or 0 for each in played for part in each.parts.values()),
            "error": played[-1].error if played else None,
            "baseline": played[-1].baseline if played else None,
            "unit": self.unit,
            "quarantined": played[-1].quarantined if played else 0,
            "reached": played[-1].reached if played else None,
            "digest": self.digest,
        }

    @property
    def machine(self) -> dict[str, Any]:
        """What depends on where it ran."""
        return {"seconds": round(self.seconds, 3), "runtime": self.runtime}


class Run:
    """A simulation that could begin: all that its settings name is there.

    Raises
    ------
    BrambleError
        If it could not, in one sentence.
    """

    def __init__(self, settings: SimulateSettings) -> None:
        self.settings = settings
        given = {name: getattr(settings, name) for name in RoundSettings.model_fields}
        self.choice = strategies.named(settings.strategy, settings.strategy_option)
        self.codec = codec.named(settings.codec, settings.codec_option)
        needed = max(settings.min_updates, self.choice.make().least)
        [self._built] = foundation.read(Alone(task=(settings.task,), min_clients=needed, **given), simulated=True)
        self._scenario = Scenario() if settings.scenario is None else scenario.read(settings.scenario)
        if settings.clients < needed > settings.min_updates:
            raise BrambleError(f"clients: {self.choice} makes nothing of fewer than {needed}, and there are {settings.clients}")
        if isinstance(settings.clients_per_round, int) and settings.clients_per_round > settings.clients:
            raise BrambleError(
                f"clients_per_round: {settings.clients_per_round} are wanted for a round, and there are {settings.clients}; lower it, or "
                "raise --clients"
            )
        if settings.clients < settings.min_updates:
            raise BrambleError(f"min_updates: {settings.clients} clients never give {settings.min_updates} updates; lower --min-updates")
        self.stretches, self.overlap = places.share(
            places.read(settings.data, self._built.graph.manifest), settings.clients, settings.windows
        )
        manifest = self._built.graph.manifest
        self._attackers = attacks.named(settings.attack, settings.attack_option, settings.attackers, manifest)
        self.metric: Metric = self._built.graph.manifest.metric

    @property
    def about(self) -> Mapping[str, Any]:
        """All that its results depend on."""
        settings = self.settings
        return {
            "version": version("bramble-fl"),
            "task": self._built.task,
            "graph": self._built.graph.sha256,
            **{name: getattr(settings, name) for name in (*OWN, *RoundSettings.model_fields)},
            "scenario": self._scenario.model_dump(),
        }

    @property
    def name(self) -> str:
        """What its results are called: by strategy and seed for a reader, and by all of its settings for safety."""
        digest = hashlib.sha256(json.dumps(self.about, sort_keys=True, default=str).encode()).hexdigest()[:8]
        return f"{self.choice.name}-seed{self.settings.seed}-{digest}"

    def play(self, told: Callable[[Played], None]) -> Outcome:
        """Play its rounds, or until Ctrl-C, or until no round can open.

        Parameters
        ----------
        told
            Called with each round as it ends.
        """
        played: list[Played] = []
        stopped = None
        began = time.monotonic()
        where = self.settings.log_to
        with (
            _silent_clients(), closing(self._workers()) as workers,
            begun(where, self.name, self.about) if where else nullcontext() as curves,
        ):  # fmt: skip
            simulation = simulation_of(self._built)(
                self._built, self.stretches, self._scenario, self.settings.seed, workers, self._attackers,
                None if self.settings.judged else Unjudged(),
            )  # fmt: skip
            try:
                for each in simulation.play(self.settings.rounds):
                    played.append(each)
                    told(each)
                    if curves:
                        curves.round(each.round, _values(each))
            except KeyboardInterrupt:
                stopped = INTERRUPTED
            except BrambleError as error:
                stopped = str(error)
        return Outcome(played, stopped, time.monotonic() - began, workers.name, self.metric.unit, simulation.digest)

    def _workers(self) -> Workers:
        graph, settings = self._built.graph, self.settings
        if settings.backend == "ray":
            from bramble.simulation.on_ray import RayWorkers  # which is large, and mostly not there

            return RayWorkers(graph, settings.workers, settings.ray_address)
        return Threads(graph, settings.workers)


def _values(played: Played) -> dict[str, float | None]:
    """Return what curves have of a round; its error is on what was held out, as the task's metric."""
    found: dict[str, float | None] = {
        "committed": float(played.state == "committed"), "seconds": played.ended - played.opened, "asked": played.asked,
        "answered": played.delivered, "error": played.error, "baseline": played.baseline,
    }  # fmt: skip
    return found | {name: value for name, value in played.metrics.items() if "." not in name and not name.startswith("test_")}


@contextmanager
def _silent_clients() -> Iterator[None]:
    """Have clients log errors alone: a thousand have much to say, and it is in the results."""
    logger = logging.getLogger("bramble_client")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
