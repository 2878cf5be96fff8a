"""What is said between a client and a person by one lamp and one button: which class is it? Pure: told what time it is.

Unasked, a press names the next class of the list, which holds from the press until the next; a long press says that it is none.

A client asks by a double blink, then blinks as often as the number of the class that it finds most probable, then pauses; next comes the
second most probable, and so on, all of them again and again until the question ends. A press answers with the class shown last, a long
press says none of them. An answer counts from the beginning of the window that is asked about until the press: nobody asks what will be.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

NONE = ""
"""The label of what is none of the classes, and of what nobody has said anything of: it ends the one before."""
QUESTION_S = 60.0
"""Seconds after which a question ends without an answer: who comes later speaks of something else."""
CALL = (1, 1, 0, 1, 1, 0, 0, 0, 0, 0)
"""The double blink that begins each offer, in tenths of a second; longer flashes than an error's."""
COUNT = (1, 1, 1, 0, 0, 0)
"""One blink of a class's number."""
PAUSE = (0,) * 15
"""Time to press after the last blink of a number."""
TICK_S = 0.1


@dataclass(frozen=True)
class Question:
    """What a client is unsure of."""

    since: float
    """Where the window begins, seconds since 1970-01-01 UTC."""
    order: tuple[int, ...]
    """The classes' numbers, from 0, the most probable first."""


@dataclass(frozen=True)
class Saying:
    """That a label holds from a time on, seconds since 1970-01-01 UTC."""

    t: float
    label: str


class Exchange:
    """Keeps what was asked and what was pressed.

    Parameters
    ----------
    classes
        What a press can mean, in the order of their numbers.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._next = itertools.cycle(self.classes)
        self._open: tuple[Question, float] | None = None
        """What is asked, and since when."""

    def ask(self, question: Question, now: float) -> None:
        """Begin to ask, unless something is asked already."""
        if not self.asking(now):
            self._open = question, now

    def asking(self, now: float) -> bool:
        """Return whether a question is open."""
        return self._at(now) is not None

    def forget(self) -> None:
        """Ask nothing more of what was: its readings are forgotten."""
        self._open = None

    def light(self, now: float) -> int | None:
        """Return whether the lamp is on for the question, or None if nothing is asked."""
        found = self._at(now)
        return None if found is None else found[2]

    def pressed(self, now: float, long: bool) -> list[Saying]:
        """Return what a press says.

        Parameters
        ----------
        now
            When the button went down, seconds since 1970-01-01 UTC.
        long
            Whether it was held.
        """
        found = self._at(now)
        if found is None:
            return [Saying(now, NONE if long else next(self._next))] if self.classes else []
        self._open = None
        question, number, _ = found
        return [Saying(question.since, NONE)] if long else [Saying(question.since, self.classes[number]), Saying(now, NONE)]

    def _at(self, now: float) -> tuple[Question, int, int] | None:
        """Return the question, which class is offered, and whether the lamp is on; None if nothing is asked."""
        if self._open is None or not 0 <= now - self._open[1] < QUESTION_S:
            return None
        question, asked = self._open
        offers = [(number, level) for number in question.order for level in (*CALL, *COUNT * (number + 1), *PAUSE)]
        number, level = offers[int((now - asked) / TICK_S + 1e-6) % len(offers)]
        return question, number, level
