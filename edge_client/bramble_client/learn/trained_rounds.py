"""Up to when a client trained for each round, task by task: by that it knows which readings a model was not trained on.

All of it is kept in the recorder, under names that begin as those of all times there: it corrects them when a clock was wrong.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable

from bramble_client.acquire.recorder import TESTED_UNTIL, Recorder

ROUNDS = "trained_rounds"
"""Where the recorder keeps for which rounds this client trained, by task, ascending."""
SCORED = "scored"
"""In place of a round: up to when the windows go of which an evaluation told a mean."""
MOST = 32
"""Rounds of a task that are told apart; of what came before it is known up to when the last of it went, as if of round 0."""
MOST_TASKS = 16


class TrainedRounds:
    """Notes up to when the windows go that this client trained on, round by round.

    Parameters
    ----------
    recorder
        Where that is kept.
    tested_until
        Returns up to when a task was tested and trained, for what a release left that noted no rounds.
    """

    def __init__(self, recorder: Recorder, tested_until: Callable[[str], float | None]) -> None:
        self._recorder, self._tested_until = recorder, tested_until

    def note(self, task: str, number: int, until: float) -> None:
        """Note a run before its answer can be in any model.

        What is known of rounds with this number or a higher one is forgotten: they were another server's, or one's that counts anew.
        """
        known, values = self._begun(task)
        rounds = [earlier for earlier in known[task] if earlier < number]
        values |= self._gone(task, known[task][len(rounds) :])
        if len(rounds) >= MOST:
            first, last = rounds[:2]
            values |= {**self._gone(task, (first, last)), _name(task, 0): self._recorder.get(_name(task, last))}
            rounds = [0, *rounds[2:]]
        known[task] = [*rounds, number]
        self._recorder.update({**values, _name(task, number): repr(until), ROUNDS: json.dumps(known)})

    def until(self, task: str, number: int | None = None) -> float | None:
        """Return up to when the windows go that this client trained on up to a round; None if there is none.

        Parameters
        ----------
        number
            The round; None stands for the last one that there is.
        """
        known = self._known().get(task)
        if known is None:
            return self._tested_until(task)
        rounds = [each for each in known if number is None or each <= number]
        return self._recorder.tested_until(_name(task, rounds[-1])) if rounds else None

    def score(self, task: str, until: float) -> None:
        """Note up to when the windows go of which an evaluation tells a mean."""
        known, values = self._begun(task)
        self._recorder.update({**values, _name(task, SCORED): repr(until), ROUNDS: json.dumps(known)})

    def scored_until(self, task: str) -> float | None:
        """Return up to when they go; None if none was told."""
        return self._recorder.tested_until(_name(task, SCORED))

    def forget(self, task: str | None = None) -> None:
        """Forget all of it, or what is known of one task."""
        known = self._known()
        names = [name for name in known if task in (None, name)]
        if names:
            values = {name: None for gone in names for name in self._gone(gone, (*known.pop(gone), SCORED))}
            self._recorder.update({**values, ROUNDS: json.dumps(known) if known else None})

    def _begun(self, task: str) -> tuple[dict[str, list[int]], dict[str, str | None]]:
        """Return which rounds are known, a task's at the end, and what is to be kept with a change to them."""
        known, values = self._known(), dict[str, str | None]()
        rounds = known.pop(task, None)
        if rounds is None and (tested := self._tested_until(task)) is not None:
            rounds, values[_name(task, 0)] = [0], repr(tested)
        for gone in list(known)[: max(0, len(known) + 1 - MOST_TASKS)]:
            values |= self._gone(gone, (*known.pop(gone), SCORED))
        return {**known, task: rounds or []}, values

    def _known(self) -> dict[str, list[int]]:
        with contextlib.suppress(ValueError):  # a damaged page's
            found = json.loads(self._recorder.get(ROUNDS) or "{}")
            if isinstance(found, dict) and all(isinstance(number, int) for each in found.values() for number in each):
                return found
        return {}

    @staticmethod
    def _gone(task: str, rounds: Iterable[int | str]) -> dict[str, str | None]:
        return {_name(task, number): None for number in rounds}


def _name(task: str, number: int | str) -> str:
    return f"{TESTED_UNTIL} {task} {number}"
