"""What a round's end leaves to be done that no client waits for: it is done once those of the next round are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from bramble_server.rounds.cohorts import Cohorts
from bramble_server.rounds.commits import Commits
from bramble_server.rounds.opening import Openings
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.shared import Shared


class Aftermath:
    """That of one task's rounds, in the order in which it comes up."""

    def __init__(self, task: str, shared: Shared, commits: Commits, cohorts: Cohorts, openings: Openings) -> None:
        self._task, self._shared, self._commits, self._cohorts, self._openings = task, shared, commits, cohorts, openings
        self._left: list[Callable[[], object]] = []

    def put(self, work: Callable[..., object], *arguments: object) -> None:
        """Leave something for later."""
        self._left.append(partial(work, *arguments))

    def ended(self, open_round: OpenRound, committed: bool, metrics: Mapping[str, float]) -> None:
        """Leave for later what is told and tidied when a round is over."""
        self.put(self._tell, open_round, committed, metrics, open_round.seconds, self._shared.clock.time())
        if committed:
            self._shared.changed()  # before what takes its time, or the round would be seen as over and open

    def _tell(self, open_round: OpenRound, committed: bool, metrics: Mapping[str, float], seconds: float, now: float) -> None:
        state, parts = "committed" if committed else "abandoned", open_round.parts()
        self._shared.metrics.round_ended(self._task, state, seconds, metrics, parts, now, open_round.number)
        self._commits.told(open_round)
        self._cohorts.ended(open_round.number, parts, now, open_round.given)
        self._shared.loop.hand_over(self._openings.let_go, open_round, committed)

    def catch_up(self) -> None:
        """Do what was left. What was sent before goes out first."""
        if self._left:
            self._shared.loop.rest()
            left, self._left = self._left, []
            for work in left:
                work()
