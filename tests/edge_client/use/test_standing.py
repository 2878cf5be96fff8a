"""Which model a site goes by."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bramble_client.use.standing import BASELINE, BLEND, GLOBAL, HALF_LIFE, PERSONAL, Standing


def after(*weeks: dict[str, float], baseline: float = 1.0, windows: int = 100, start: Standing | None = None) -> Standing:
    standing = start or Standing()
    for week in weeks:
        standing = standing.scored(week, baseline, windows)
    return standing


def test_before_anything_was_scored_a_site_goes_by_the_baseline() -> None:
    assert Standing().in_use == BASELINE


def test_the_lowest_error_of_late_is_gone_by() -> None:
    assert after({GLOBAL: 0.8, PERSONAL: 0.7, BLEND: 0.75}).in_use == PERSONAL
    assert after({GLOBAL: 1.2, PERSONAL: 1.1}).in_use == BASELINE


def test_what_was_best_long_ago_gives_way_to_what_is_best_now() -> None:
    standing = after({GLOBAL: 0.5, PERSONAL: 0.8}, windows=int(4 * HALF_LIFE))
    assert standing.in_use == GLOBAL
    assert after(*[{GLOBAL: 0.9, PERSONAL: 0.6}] * 30, start=standing).in_use == PERSONAL


def test_two_that_are_as_good_do_not_take_turns() -> None:
    random = np.random.default_rng(0)
    standing, changes = after({GLOBAL: 0.5, PERSONAL: 0.8}), 0
    for _ in range(200):
        weeks = {name: 0.5 + float(random.normal(0, 0.01)) for name in (GLOBAL, PERSONAL)}
        former, standing = standing.in_use, after(weeks, start=standing, windows=20)
        changes += former != standing.in_use
    assert changes <= 1


def test_a_few_windows_decide_nothing() -> None:
    assert after({GLOBAL: 0.1}, windows=5).in_use == BASELINE
    assert after(*[{GLOBAL: 0.1}] * 5, windows=5).in_use == GLOBAL


def test_one_that_came_later_is_compared_on_its_own_windows_alone() -> None:
    # a calm season, in which all errors are small, before the personal model was there
    standing = after({GLOBAL: 0.09}, baseline=0.1, windows=400)
    assert after({GLOBAL: 9.0, PERSONAL: 8.0}, baseline=10.0, start=standing).in_use == PERSONAL


def test_a_model_that_is_gone_is_gone_by_no_more() -> None:
    assert after({GLOBAL: 0.9, PERSONAL: 0.5}, {GLOBAL: 0.9}).in_use == GLOBAL


def test_a_baseline_that_cannot_be_computed_here_is_never_gone_by() -> None:
    assert Standing().scored({GLOBAL: 2.0}, 1.0, 100, (BASELINE,)).in_use == GLOBAL


def test_a_baseline_without_any_error_is_not_beaten() -> None:
    assert after({GLOBAL: 0.1}, baseline=0.0).in_use == BASELINE
    assert after({GLOBAL: 0.0}, baseline=0.0).in_use == BASELINE


def test_it_is_read_as_it_was_written() -> None:
    standing = after({GLOBAL: 0.9, PERSONAL: 0.5})
    assert Standing.from_json(json.loads(json.dumps(standing.to_json()))) == standing


@pytest.mark.parametrize("damaged", [{}, {"in_use": "nothing", "scores": {}}, {"in_use": GLOBAL, "scores": {GLOBAL: [1]}}, [], None])
def test_what_is_damaged_is_said(damaged: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        Standing.from_json(damaged)
