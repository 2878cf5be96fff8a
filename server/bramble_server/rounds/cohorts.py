"""Whom a round asks, when it has enough, and how long it may take: by the settings, and by what the rounds before told."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bramble_protocol import reasons
from bramble_protocol.errors import BrambleError
from bramble_server.learning import selection, strategies
from bramble_server.learning.selection import Call, Known
from bramble_server.learning.selection.poisson import SELDOM, fewer_than
from bramble_server.settings import ServerSettings

RECENT = 200
"""Rounds that are remembered: what is older says little of a client, and a server that starts reads so many."""
MOST_OF_THEM = 0.9
"""Part of a round's clients that an adaptive deadline goes by."""
CENSORED = 2.0
"""How many times its round's deadline a client counts as having taken that was too late for it."""


@dataclass(frozen=True)
class Cohort:
    """What a round is to be."""

    clients: tuple[str, ...]
    spare: int = 0
    """How many could take part beside them, and were not chosen."""
    enough: int = 0
    """Updates with which it is over; 0: it waits for everybody."""
    deadline: float = 60.0
    """Seconds that it may take."""
    how: Mapping[str, Any] = field(default_factory=dict)
    """What it goes by, as JSON can hold it: it is stored with the round."""


class Cohorts:
    """Chooses the clients of a task's rounds. What it chooses depends on the settings and on the rounds that it was told of alone.

    Parameters
    ----------
    settings
        The task's.
    seed
        Of what is drawn.
    coins
        Seed of coins that nobody may know; without it that is ``seed``, too, and a simulation repeats.
    """

    def __init__(self, settings: ServerSettings, seed: int, coins: int | None = None) -> None:
        self._settings, self._seed, self._coins = settings, seed, seed if coins is None else coins
        self._choice = selection.named(settings.selection, settings.selection_option)
        self._strategy = strategies.named(settings.strategy, settings.strategy_option)
        self.remembers = settings.clients_per_round is not None or settings.adaptive_deadline is not None
        """Whether rounds before make a difference."""
        self.forget()

    def forget(self) -> None:
        """Begin anew, after a reset."""
        self._known: dict[str, Known] = {}
        self._asked: dict[int, tuple[str, ...]] = {}
        self._utilities: dict[int, float] = {}

    def recall(self, history: Iterable[Mapping[str, Any]]) -> None:
        """Learn from rounds that are on record, oldest first, with their clients."""
        for row in history:
            if row["ended"] is not None:
                self.ended(row["round"], row["clients"], row["ended"], row["deadline"])

    def ended(self, number: int, parts: Mapping[str, Mapping[str, Any]], when: float, deadline: float | None) -> None:
        """Learn from a round that is over.

        Parameters
        ----------
        parts
            What is known of each client's part in it.
        when
            It ended, seconds since 1970 UTC.
        deadline
            Seconds that it had; None where that is not known.
        """
        if not self.remembers:
            return
        utility = 0.0
        for client, part in parts.items():
            known = replace(self._known.get(client, Known()), asked=number)
            if part["replied"] is not None:
                known = replace(known, seconds=part["replied"] - part["sent"])
                if part["reason"] is None:
                    known = replace(known, answered=number, samples=part["samples"], loss=part["loss_before"])
                    utility += (part["samples"] or 0) * (part["loss_before"] or 0.0)
            elif part["sent"] is not None and (part["reason"] or "") in (reasons.LATE, reasons.SPARED):
                least = CENSORED * deadline if part["reason"] == reasons.LATE and deadline else when - part["sent"]
                known = replace(known, seconds=max(known.seconds or 0.0, least))
            self._known[client] = known
        self._utilities[number], self._asked[number] = utility, tuple(parts)
        self._utilities = {each: worth for each, worth in self._utilities.items() if each > number - RECENT}
        self._asked = {each: clients for each, clients in self._asked.items() if each > number - RECENT}

    def choose(self, number: int, able: Sequence[str]) -> Cohort:
        """Return what a round is to be.

        Parameters
        ----------
        number
            The round's.
        able
            Clients that could take part.

        Raises
        ------
        BrambleError
            If a third party's selection fails.
        """
        settings, enough, clients = self._settings, 0, tuple(able)
        times = Counter(client for each, clients in self._asked.items() if each > number - RECENT for client in clients)
        known = {client: replace(each, times=times[client]) for client, each in self._known.items() if (each.asked or 0) > number - RECENT}
        if settings.clients_per_round is not None and self._choice.kind.coins:
            share = float(settings.clients_per_round)
            self._check(share, len(able))
            clients = self._choice.cohort(Call(number, self._coins, len(able), known, share=share), list(able))
        elif settings.clients_per_round is not None:
            wanted = self.wanted(len(able))
            asked = min(len(able), math.ceil(settings.over_selection * wanted - 1e-9))
            clients = self._choice.cohort(Call(number, self._seed, asked, known, self._utilities), list(able))
            enough = wanted if asked > wanted else 0
        deadline = self._deadline(clients, known)
        return Cohort(clients, len(able) - len(clients), enough, deadline, self._how(enough, deadline))

    def _check(self, share: float, able: int) -> None:
        """Check that coins leave a round with noise enough clients: that it is abandoned would tell how they fell."""
        strategy, settings = self._strategy.make(), self._settings
        if able < settings.min_clients:  # which is refused for being too few
            return
        needed = max(1, settings.min_updates, strategy.least)
        if (likely := fewer_than(needed, able, share)) > SELDOM:
            raise BrambleError(
                f"selection: of {able} clients, each asked with a probability of {share:g}, fewer than {needed} would be asked in one of "
                f"{1 / likely:.3g} rounds, and that such a round is abandoned tells who is there; raise --clients-per-round, or wait for "
                "more clients with --min-clients"
            )

    def wanted(self, able: int) -> int:
        """Return of how many clients a round wants updates: ``max(C K, 1)`` of K (McMahan et al. 2017), and as many as it needs."""
        share = self._settings.clients_per_round
        if share is None:
            return able
        number = share if isinstance(share, int) else max(1, round(share * able), self._settings.min_updates, self._strategy.make().least)
        return min(able, number)

    def _deadline(self, clients: Sequence[str], known: Mapping[str, Known]) -> float:
        """Return how long a round of these clients may take. Who was never measured may be as slow as it gets."""
        longest, times = self._settings.deadline, self._settings.adaptive_deadline
        if times is None or not clients:
            return longest
        seconds = [min(longest, known[client].seconds or longest) if client in known else longest for client in clients]
        # What its file can give back exactly: a client that is asked again must be asked the same.
        return min(longest, max(0.001, round(times * float(np.quantile(seconds, MOST_OF_THEM)), 3)))

    def _how(self, enough: int, deadline: float) -> dict[str, Any]:
        settings = self._settings
        chosen = None
        if settings.clients_per_round is not None:
            chosen = {
                "name": self._choice.name,
                "parameters": self._choice.set,
                "clients_per_round": settings.clients_per_round,
                "over_selection": settings.over_selection,
                "enough": enough or None,
            }
        return {"selection": chosen, "seed": self._seed, "deadline": deadline}
