"""Questions: only about what the model is less sure of than mostly, and only so many a day."""

from __future__ import annotations

import numpy as np
import pytest

from bramble_client.use.asking import DAY_S, FEW, Asking, order

SURE, UNSURE = (0.9, 0.08, 0.02), (0.4, 0.35, 0.25)


def asking(daily: int = 1000, share: float = 0.25) -> Asking:
    """Return one that knows what is usual here: to be sure."""
    made = Asking(daily, share)
    for _ in range(5 * FEW):
        made.about((0.8, 0.15, 0.05), -DAY_S)
    return made


def test_an_unsure_window_is_asked_about_and_a_sure_one_is_not() -> None:
    made = asking()
    assert not made.about(SURE, 0.0)
    assert made.about(UNSURE, 1.0)


def test_unsure_is_what_is_so_by_this_clients_own_history() -> None:
    made = Asking(1000, 0.25)
    for _ in range(5 * FEW):
        made.about((0.36, 0.34, 0.3), -DAY_S)
    assert not made.about(UNSURE, 0.0), "elsewhere it would be, here it is more sure than mostly"


def test_of_windows_that_are_unsure_by_chance_about_the_share_is_asked_about() -> None:
    made, rng = Asking(10_000, 0.25), np.random.default_rng(0)
    asked = [made.about((first := rng.uniform(0.5, 1), 1 - first), 0.0) for _ in range(2000)]
    assert 0.2 < np.mean(asked) < 0.3


def test_a_day_has_so_many_questions_and_the_next_day_as_many_again() -> None:
    made = asking(daily=3)
    for day in (0, 1):
        assert [made.about(UNSURE, day * DAY_S + second) for second in range(5)] == [True] * 3 + [False] * 2


def test_while_little_is_known_of_what_is_usual_all_is_asked_about() -> None:
    made = Asking(1000, 0.25)
    assert [made.about(SURE, 0.0) for _ in range(FEW)] == [True] * FEW


def test_none_a_day_is_none() -> None:
    assert not Asking(0, 0.25).about(UNSURE, 0.0)


@pytest.mark.parametrize(("probabilities", "expected"), [((0.1, 0.7, 0.2), (1, 2, 0)), ((0.5, 0.5), (0, 1))])
def test_classes_are_offered_the_most_probable_first(probabilities: tuple[float, ...], expected: tuple[int, ...]) -> None:
    assert order(probabilities) == expected
