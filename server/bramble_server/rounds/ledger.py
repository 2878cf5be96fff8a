"""What the models of a task have told of single clients, as a privacy budget counts it; no reset and no restart takes it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from bramble_protocol.accountant import Release, epsilon
from bramble_protocol.errors import BrambleError
from bramble_server.store import meta

_NAME = "privacy"


@dataclass(frozen=True)
class Budget:
    """What clients may lose in all."""

    epsilon: float
    delta: float


class Ledger:
    """Counts the rounds whose models were released, by what each cost, and refuses what a budget does not hold."""

    def __init__(self, task: str, budget: Budget | None) -> None:
        self._task, self.budget = task, budget
        self._hold({})

    def recall(self, connection: Connection) -> None:
        """Read what was spent before."""
        kept = meta.get(connection, _NAME, {}).get(self._task, [])
        self._hold({Release(noise, share): rounds for noise, share, rounds in kept})

    @property
    def spent(self) -> float | None:
        """The epsilon of all rounds so far; None where there is no budget."""
        return self._epsilon

    def _hold(self, spent: Mapping[Release, int]) -> None:
        self._spent = spent
        self._epsilon = epsilon(spent, self.budget.delta) if self.budget else None

    def check(self, release: Release | None, number: int, models: int = 1) -> None:
        """Return if a round may be opened that costs so much.

        Parameters
        ----------
        models
            How many are to come with it: two where that of the round before is about to be stored.

        Raises
        ------
        BrambleError
            If the budget does not hold it.
        """
        if self.budget is None or release is None:
            return
        then = epsilon(self._after(release, models), self.budget.delta)
        if then > self.budget.epsilon:
            raise BrambleError(
                f"round {number} would bring task {self._task} to an epsilon of {then:.3g}, and its budget is {self.budget.epsilon:g} "
                f"({self.spent:.3g} are spent, in {sum(self._spent.values())} rounds): no reset gives it back, and the model stays as it "
                "is; a higher --epsilon promises clients less"
            )

    def write(self, connection: Connection, release: Release | None) -> None:
        """Write a round's cost, in the transaction that releases its model; :meth:`hold` follows."""
        if release is not None:
            rows = [[one.noise_multiplier, one.share, rounds] for one, rounds in self._after(release).items()]
            meta.put(connection, _NAME, {**meta.get(connection, _NAME, {}), self._task: rows})

    def hold(self, release: Release | None) -> None:
        """Have count what is written."""
        if release is not None:
            self._hold(self._after(release))

    def _after(self, release: Release, models: int = 1) -> Mapping[Release, int]:
        return {**self._spent, release: self._spent.get(release, 0) + models}
