"""What is done of a small round's end before it has come: in the one visit to a thread that puts its last updates aside.

To hand something to a thread and have it back, and to wait for the disk, takes longer than all the rest of a small round. So where the
updates of one moment are the last that it waits for, the model is made of them at once; and where another round follows at once, the
transaction that commits the one records the other as running, so that one sync covers both. The machine, whose step changes nothing, is
asked before what it would do. Afterwards everything takes its usual way, and finds done what it asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from bramble_server.rounds import machine
from bramble_server.rounds.cohorts import Cohort
from bramble_server.rounds.commits import Commits, End
from bramble_server.rounds.opening import Opening, Openings
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.view import Model


@dataclass(frozen=True)
class Next:
    """What a round that is to follow at once is begun with."""

    start: machine.Start
    cohort: Cohort
    ways: Collection[tuple[str, ...]]
    """The sets of its clients' features."""


class Ahead:
    """Ends the rounds of one track ahead, and opens those that follow; each is asked for once."""

    def __init__(self, machine: machine.Machine[Any], commits: Commits, openings: Openings) -> None:
        self._machine, self._commits, self._openings = machine, commits, openings
        self.following: Next | None = None
        """The round that follows if the updates that are put aside next are the last."""
        self._ended: tuple[OpenRound, Model | Exception] | None = None
        self._opening: tuple[Next, Opening] | None = None

    def run(self, state: machine.State, updates: Sequence[machine.Update], open_round: OpenRound, base: Model) -> bool:
        """End a round with updates that were just taken, if they lead to a commit and to nothing else. In a thread.

        Parameters
        ----------
        base
            The model that it began with.

        Returns
        -------
        bool
            Whether they are on the disk with it.
        """
        clients: list[str] = []
        action: machine.Action | None = None
        for event in updates:
            state, actions = self._machine.step(state, event)
            for action in actions:
                if isinstance(action, machine.Drop):
                    return False  # which is noted with the round
                clients += [action.client] if isinstance(action, machine.Fold) else []
        if not isinstance(action, machine.Commit) or not open_round.has_taken(clients):
            return False
        opening: Opening | None = None

        def also(model: Model, end: End) -> Callable[[Connection], None] | None:
            nonlocal opening
            opening = self._next(state, model, end)
            return opening and opening.write

        try:
            for client in clients:
                open_round.fold(client)
            self._ended = open_round, self._commits.finish(open_round, base, also=also if self.following else None)
        except Exception as error:  # raised where it is asked for
            self._ended = open_round, error
            if opening:
                self._openings.discard(opening)
            return False
        if opening and self.following:
            opening.open_round.recorded = True
            self._opening = self.following, opening
        return True

    def _next(self, state: machine.State, model: Model, end: End) -> Opening | None:
        """Prepare the round that follows. Where it cannot be, whoever opens it the usual way says why."""
        following = self.following
        if following is None or self._commits.champions.due_to(end.change.champion) is not None:
            return None
        match self._machine.step(state, following.start)[1]:
            case (machine.Open(number, clients, under_way),) if not under_way:
                with suppress(Exception):
                    return self._openings.prepare(number, replace(following.cohort, clients=clients), model, following.ways, after=end)
        return None

    def model(self, open_round: OpenRound) -> Model | None:
        """Return the model that was made of a round, or raise why none was; None if it was not ended ahead."""
        ended, self._ended = self._ended, None
        if ended is None or ended[0] is not open_round:
            return None
        if isinstance(ended[1], Exception):
            raise ended[1]
        return ended[1]

    @property
    def start(self) -> machine.Start | None:
        """What opens the round that is on record already, if there is one."""
        return self._opening[0].start if self._opening else None

    def opened(self, number: int) -> Opening | None:
        """Return the round of this number, if it was opened ahead."""
        opening, self._opening = self._opening, None
        return opening[1] if opening and opening[1].open_round.number == number else None
