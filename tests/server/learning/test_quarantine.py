"""Who is asked no more: what offends, how often, and what keeps a quarantine from being the worse attack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bramble_server.learning.quarantine import Quarantine, offences, pulls


def part(norm: float = 1.0, cosine: float | None = 0.5, reason: str | None = None) -> dict[str, Any]:
    return {"update_norm": norm, "cosine": cosine, "reason": reason}


def cohort(odd: Mapping[str, Any] | None = None, honest: int = 4) -> dict[str, dict[str, Any]]:
    return {f"pi-{n}": part() for n in range(honest)} | ({"liar": dict(odd)} if odd else {})


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (part(norm=5.0), "was 5 times as long as the median"),
        (part(norm=0.0, cosine=None), "was next to nothing, as of one that does not train"),
        (part(cosine=-0.5), "went against the others' (cosine -0.50)"),
        (part(norm=2.0, reason="left out: its loss is 9, 8 times the cohort's median"), "was left out: its loss is 9, 8 times"),
    ],
)
def test_what_offends_is_told_in_words(odd: dict[str, Any], said: str) -> None:
    [(client, words)] = offences(cohort(odd)).items()
    assert client == "liar"
    assert words.startswith(said)


@pytest.mark.parametrize("odd", [part(norm=2.3), part(norm=0.1), part(cosine=-0.2), part(reason="no answer before the deadline")])
def test_what_honest_sites_do_in_their_own_climates_does_not(odd: dict[str, Any]) -> None:
    assert not offences(cohort(odd))


def test_two_say_nothing_of_each_other_and_nobody_goes_against_a_cohort_that_has_no_way() -> None:
    assert not offences({"a": part(), "b": part(norm=100.0)})
    assert not offences({name: part(cosine=cosine) for name, cosine in (("a", 0.9), ("b", -0.4), ("c", -0.5))})


def test_it_takes_as_many_rounds_more_as_are_set_and_good_ones_count_against_bad() -> None:
    state = Quarantine(2)
    bad, good = cohort(part(cosine=-0.9)), cohort(part())
    for number, parts in enumerate((bad, good, good, bad), 1):
        state = state.judged(number, parts, {})
    assert state.scores == {"liar": 1}
    state = state.judged(5, bad, {"liar": -0.14})
    assert state.out == {
        "liar": "offended in 2 rounds more than not, last in round 5: its update went against the others' (cosine -0.90), and took the "
        "model 14% of that round's way back"
    }
    assert Quarantine(2, **state.to_json()) == state
    assert state.released("liar") == Quarantine(2)
    assert Quarantine(0).judged(1, bad, {}).scores == {}


def test_so_many_are_left_that_rounds_go_on_and_never_more_than_half_are_shut_out() -> None:
    state = Quarantine(1)
    assert not state.judged(1, cohort(part(cosine=-0.9), honest=2), {}).out
    crowd = cohort(honest=4) | {f"liar-{n}": part(cosine=-0.9) for n in range(3)}
    assert len(state.judged(1, crowd, {}).out) == 3
    assert len(Quarantine(1, least=6).judged(1, crowd, {}).out) == 1


def test_pulls_of_an_average_come_to_the_whole_way() -> None:
    # two updates (3, 0) and (-1, 0), of 1 and 3 samples: the model goes (0, 0); with (3, 0) twice as heavy it goes on
    parts = {"a": part(3.0, 1.0), "b": part(1.0, -1.0)}
    assert pulls(parts, {"a": 2.0, "b": 1.0}, step=5 / 3) == pytest.approx({"a": 1.2, "b": -0.2})
    assert pulls(parts, {}, 1.0) == {}
