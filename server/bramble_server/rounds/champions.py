"""Which of a task's models is the best so far, its champion, and when the newest gives way to it. What decides is pure.

Each round tests the model that it begins with on readings that nobody has trained on. Clients that know how (``features.CHAMPION``) test
the champion on the same windows, so that the two are compared on one thing, and one season is not taken for one model's skill.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sqlalchemy import Connection

from bramble_protocol.features import CHAMPION
from bramble_protocol.layout import Weights
from bramble_protocol.messages import Champion
from bramble_protocol.privacy import LEAST_SAMPLES
from bramble_server.rounds.view import Model
from bramble_server.store import models, standings
from bramble_server.store.standings import Standing

log = logging.getLogger(__name__)

Tests = Mapping[str, float]
"""A client's or a round's metrics: ``test_error``, ``test_baseline``, ``test_samples``, and of the champion ``champion_error``."""


@dataclass(frozen=True)
class Duel:
    """Newest and champion on the same windows, over all clients that tested both: mean errors, pooled by windows."""

    newest: float
    champion: float
    samples: float
    ahead: float
    """The part of those clients that the newest forecasts at least as well: one that lies, or has a broken sensor, decides nothing."""
    baseline: float | None = None
    """The baseline's on these windows; None where a client did not tell it."""

    @classmethod
    def of(cls, reports: Iterable[Tests], champion: int | None) -> Duel | None:
        """Pool what clients report; None where none tested this champion."""
        both = [one for one in reports if one.get(CHAMPION) == champion and one.get("test_samples") and "champion_error" in one]
        samples = sum(one["test_samples"] for one in both)
        if champion is None or not samples:
            return None
        newest, best = (sum(one["test_samples"] * one[name] for one in both) / samples for name in ("test_error", "champion_error"))
        ahead = sum(one["test_error"] <= one["champion_error"] for one in both) / len(both)
        known = all("test_baseline" in one for one in both)
        baseline = sum(one["test_samples"] * one["test_baseline"] for one in both) / samples if known else None
        return cls(newest, best, samples, ahead, baseline)


@dataclass(frozen=True)
class Findings:
    """What a round found of the model that it began with."""

    pooled: Tests
    duel: Duel | None = None

    @property
    def enough(self) -> bool:
        """Whether its test is over so many windows that it says something."""
        return "test_error" in self.pooled and self.pooled.get("test_samples", 0) >= LEAST_SAMPLES


@dataclass(frozen=True)
class Rules:
    """When the newest model gives way."""

    bound: float
    """How much larger its error may be than the champion's, as a part of that, in the metric as people read it."""
    rounds: int
    """In how many rounds in a row it may be larger than that; 0: it never gives way."""
    read: Callable[[float], float] = float
    """From a mean as it is pooled to the metric."""

    def worse(self, duel: Duel) -> int:
        """Return how many rounds a duel counts that the newest lost; 0 if it did not.

        Beyond the baseline, where the champion is not, it counts all: it is broken, and what clients train from it would be repair at best.
        """
        if self.read(duel.newest) <= (1 + self.bound) * self.read(duel.champion) or duel.ahead >= 0.5:
            return 0
        broken = duel.baseline is not None and duel.newest > duel.baseline >= duel.champion
        return max(1, self.rounds) if broken else 1


def judged(champion: Standing | None, base: Standing, tested: Findings, rules: Rules) -> Standing | None:
    """Return the champion after a round.

    Parameters
    ----------
    champion
        The one before it; None where no model was tested yet.
    base
        The model that the round began with, with what this round found of it.
    """
    if champion is not None and base.round == champion.round:
        return replace(base, champion=True, pinned=champion.pinned)
    duel = tested.duel
    if champion is not None and duel is not None and duel.samples >= LEAST_SAMPLES:
        if duel.newest <= duel.champion and duel.ahead >= 0.5:
            return replace(champion, worse=0) if champion.pinned else replace(base, champion=True, worse=0)
        worse = rules.worse(duel)
        return replace(champion, worse=champion.worse + worse if worse else 0)
    if champion is None:
        return replace(base, champion=True, worse=0) if tested.enough else None
    if tested.enough and not champion.pinned and _share(base) <= _share(champion):
        return replace(base, champion=True, worse=0)
    return champion


def _share(model: Standing) -> float:
    """Return a model's error as a part of the baseline's there: months are not alike, and the two of one model are of the same."""
    if model.error is None:
        return float("inf")
    return model.error / model.baseline if model.baseline else model.error


class Stored(NamedTuple):
    """A task's champion as the store has it, and its weights, shape (parameters,)."""

    standing: Standing | None
    weights: Weights | None


class Champions:
    """The champion of one task, and its way into the store: each change is written with the round, or not at all.

    Parameters
    ----------
    task
        Whose.
    rules
        When it takes the newest model's place.
    """

    def __init__(self, task: str, rules: Rules) -> None:
        self._task, self._rules = task, rules
        self._weights: Weights | None = None
        self.standing: Standing | None = None
        """The champion; None where no model was tested yet."""

    @property
    def number(self) -> int | None:
        """The round whose model it is."""
        return self.standing.round if self.standing else None

    @property
    def pinned(self) -> int | None:
        """The round of the champion, if it is pinned."""
        return self.standing.round if self.standing and self.standing.pinned else None

    @property
    def due(self) -> int | None:
        """The round of the champion, if the newest model is to give way to it now."""
        return self.due_to(self.standing)

    def due_to(self, champion: Standing | None) -> int | None:
        """The round of a champion, if the newest model would have to give way to it."""
        return champion.round if champion and self._rules.rounds and champion.worse >= self._rules.rounds else None

    @property
    def why(self) -> str:
        """Why it is due, in words."""
        times = self._rules.rounds
        in_a_row = f"in {times} rounds" if times > 1 else "in a round"
        return f"the newest model's error was more than {self._rules.bound:.0%} above its {in_a_row}, or once above the baseline's"

    def forget(self) -> None:
        """Begin anew, after a reset."""
        self.standing = self._weights = None

    def stored(self, connection: Connection) -> Stored:
        """Return what there is, or will be with what this connection's transaction wrote."""
        standing = standings.champion(connection, self._task)
        return Stored(standing, models.get(connection, self._task, standing.round) if standing else None)

    def take(self, found: Stored) -> None:
        """Have hold what is stored, once it is."""
        self.standing, self._weights = found

    def beside(self, model: Model, after: Change | None = None) -> Champion | None:
        """Return what goes to clients beside a model that they are to train; None where that is the champion itself, or none is wanted.

        ``after`` is what is to hold by then.
        """
        standing, weights = (after.champion, after.weights) if after else (self.standing, self._weights)
        if standing is None or weights is None or standing.round == model.round:
            return None
        return Champion(standing.round, weights) if self._rules.rounds or standing.pinned else None

    def judge(self, base: Model, tested: Findings) -> Change:
        """Return what follows from what a round found of the model that it began with. Nothing holds yet."""
        if base.round == 0:  # the initial model is no commit, and nobody goes back to it but by a reset
            return Change(self._task, None, None, self.standing, self._weights)
        own = self.standing if self.standing and self.standing.round == base.round else Standing(base.round)
        known = tested.pooled
        if "test_error" in known:
            own = replace(own, error=known["test_error"], baseline=known.get("test_baseline"), samples=int(known.get("test_samples", 0)))
        after = judged(self.standing, own, tested, self._rules)
        weights = base.weights if after and after.round == base.round else self._weights
        return Change(self._task, own if "test_error" in known else None, self.standing, after, weights)

    def hold(self, change: Change) -> None:
        """Have hold what is written."""
        before, self.standing, self._weights = self.number, change.champion, change.weights
        if self.number != before:
            log.info("task %s: the model of round %s is the best so far", self._task, self.number)


@dataclass(frozen=True)
class Change:
    """What a round's end changes, to be written with it."""

    task: str
    tested: Standing | None
    """The model that was tested, with its measures."""
    before: Standing | None
    champion: Standing | None
    weights: Weights | None = field(repr=False)
    """The champion's, shape (parameters,)."""

    def write(self, connection: Connection) -> None:
        """Write it."""
        if self.tested is not None and self.tested.error is not None:
            one = self.tested
            standings.tested(connection, one.round, self.tested.error, one.baseline, one.samples or 0)
        if self.champion is not None and self.champion != self.before:
            standings.crown(connection, self.task, self.champion.round, self.champion.pinned, self.champion.worse)
