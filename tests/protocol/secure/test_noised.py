"""Sums with noise that clients add themselves: the mechanism, what it bounds, and what is refused of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bramble_protocol.errors import EncodingError, ProtocolError
from bramble_protocol.messages import SecureTerms
from bramble_protocol.secure.noised import Noise, Noised, discrete_gaussian

NOISE = Noise(clip=1.0, deviation=0.5, within=0.3, relative=0.4, least=4)
GOOD = {"test_samples": 25.0, "test_error": 0.5, "test_baseline": 1.0}


def words(encoding: Noised, change: Any, metrics: Any = GOOD) -> Any:
    return encoding.encode(np.asarray(change, np.float32), 100, metrics).view(np.int32).astype(np.float64)


def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble_protocol.secure.noised.discrete_gaussian", lambda deviation, size, random: np.zeros(size, np.int64))


@pytest.mark.parametrize("deviation", [0.7, 3.0, 1e5])
def test_the_noise_is_a_discrete_gaussian(deviation: float) -> None:
    drawn = discrete_gaussian(deviation, 100_000, np.random.default_rng(1))
    near = np.arange(-math.ceil(12 * deviation), math.ceil(12 * deviation) + 1, dtype=np.float64)
    likely = np.exp(-(near**2) / (2 * deviation**2))
    likely /= likely.sum()
    for reach in (0.5, 1.0, 2.0):
        part = float(likely[np.abs(near) <= reach * deviation].sum())
        assert float(np.mean(np.abs(drawn) <= reach * deviation)) == pytest.approx(part, abs=6 * math.sqrt(part * (1 - part) / 1e5))
    assert float(drawn.std()) == pytest.approx(math.sqrt(float((likely * near**2).sum())), rel=0.015)
    assert abs(float(drawn.mean())) < 6 * deviation / math.sqrt(1e5)


@pytest.mark.parametrize("length", [0.0, 0.01, 0.999, 1.0, 3.0, 1e6])
@pytest.mark.parametrize("metrics", [{}, GOOD, {**GOOD, "test_error": 1e9}, {**GOOD, "test_error": 0.0}])
def test_what_one_client_adds_is_no_longer_than_the_bound_to_the_last_step(
    monkeypatch: pytest.MonkeyPatch, length: float, metrics: Any
) -> None:
    without_noise(monkeypatch)
    encoding = Noised.of(10, 1000, NOISE)
    change = np.random.default_rng(3).normal(size=5000)
    added = words(encoding, change * (length / np.linalg.norm(change)), metrics)
    assert float(np.linalg.norm(added)) * encoding.step <= NOISE.bound
    assert float(np.linalg.norm(added[:-2])) * encoding.step == pytest.approx(min(length, 1.0), rel=1e-4)


def test_a_sum_is_that_of_the_shortened_changes_and_of_what_is_told_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    without_noise(monkeypatch)
    encoding = Noised.of(4, 1000, NOISE)
    rows = [[3.0, 4.0], [0.0, 0.5], [-0.3, 0.0]]
    total = np.sum([encoding.encode(np.array(row, np.float32), 7, GOOD) for row in rows], axis=0, dtype=np.uint32)
    change, totals, counts = encoding.decode(np.asarray(total))
    assert change == pytest.approx([0.6 - 0.3, 0.8 + 0.5], abs=1e-6)
    assert totals == pytest.approx({"within": 0.5, "relative": 3 * (0.5 - 1)}, abs=1e-5)
    assert counts == {}


def test_the_noise_of_all_that_are_in_it_adds_up_and_no_sum_leaves_its_range() -> None:
    encoding = Noised.of(4, 1000, replace(NOISE, within=0.0, relative=0.0))
    change = np.zeros(20_000, np.float32)
    total = np.sum([encoding.encode(change, 1, {}) for _ in range(4)], axis=0, dtype=np.uint32)
    found, totals, _ = encoding.decode(np.asarray(total))
    assert float(found.std()) == pytest.approx(0.5 * 2, rel=0.03)  # six deviations of the estimate
    assert float(np.abs(found).max()) < 6
    assert totals == {}


def test_the_multiplier_is_that_of_the_noise_which_any_sum_that_opens_has() -> None:
    plain = Noise(2.0, 3.0, 0.0, 0.0, least=9)
    assert plain.multiplier == pytest.approx(3.0 * 3 / 2)
    assert replace(plain, colluding=5).multiplier == pytest.approx(3.0 * 2 / 2)
    assert NOISE.multiplier == pytest.approx(0.5 * 2 / math.sqrt(1 + 0.15**2 + 0.4**2))


def test_each_time_other_noise_is_drawn() -> None:
    encoding = Noised.of(4, 1000, NOISE)
    assert (words(encoding, np.zeros(50)) != words(encoding, np.zeros(50))).mean() > 0.9


def test_terms_travel_with_their_noise_and_a_round_is_another_with_other_noise() -> None:
    terms = SecureTerms("ab" * 16, 10, Noised.of(10, 1000, NOISE).reach, 1000, noise=NOISE)
    assert SecureTerms.from_wire(terms.to_wire()) == terms
    assert isinstance(terms.encoding, Noised)
    less = replace(terms, noise=replace(NOISE, deviation=0.4))
    assert len({each.context("small", 7) for each in (terms, less, replace(terms, noise=None))}) == 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"least": 11}, "it takes 11 clients to hide each, and 10 are asked; lower --min-updates"),
        ({"deviation": 1e-8}, "too fine to be added in words; raise noise_multiplier"),
        ({"deviation": 0}, "secure.noise.deviation"),
        ({"clip": 0}, "secure.noise.clip"),
        ({"colluding": 4}, "secure.noise.colluding"),
        ({"clip": float("nan")}, "secure.noise.clip"),
    ],
)
def test_noise_that_hides_nobody_is_refused_by_name(change: dict[str, Any], says: str) -> None:
    wire = SecureTerms("ab" * 16, 10, 8.0, 1000, noise=NOISE).to_wire()
    with pytest.raises(ProtocolError, match=says):
        SecureTerms.from_wire({**wire, "noise": {**wire["noise"], **change}})


def test_counts_and_what_is_not_finite_have_no_place_in_it() -> None:
    with pytest.raises(ProtocolError, match="confusion is counted without noise"):
        Noised(10, 8.0, 1000, (("confusion", 4),), noise=NOISE)
    with pytest.raises(EncodingError, match="not finite"):
        Noised.of(10, 1000, NOISE).encode(np.array([np.inf], np.float32), 1, {})
