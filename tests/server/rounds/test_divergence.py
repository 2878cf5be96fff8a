from __future__ import annotations

import numpy as np
import pytest

from bramble_protocol.layout import Weights
from bramble_server.learning.aggregate import BLOCK
from bramble_server.rounds import divergence
from bramble_server.rounds.divergence import Divergence, length


def measure(weights: Weights, old: Weights, new: Weights) -> Divergence:
    """Return one client's, of two that are measured together."""

    def read(start: int, part: Weights) -> None:
        part[:] = weights[start : start + len(part)]

    def other(start: int, part: Weights) -> None:
        part[:] = 1 + old[start : start + len(part)]

    return divergence.measure({"other": other, "mine": read}, old, new)["mine"]


def test_agrees_with_its_definitions() -> None:
    rng = np.random.default_rng(3)
    old, new, weights = (rng.standard_normal(BLOCK + 100, np.float32) for _ in range(3))
    found = measure(weights, old, new)
    update, step = weights - old.astype(np.float64), new - old.astype(np.float64)
    assert found.update_norm == pytest.approx(np.linalg.norm(update))
    assert length(weights, old) == pytest.approx(found.update_norm)
    assert found.distance == pytest.approx(np.linalg.norm(weights - new.astype(np.float64)))
    assert found.cosine == pytest.approx(update @ step / np.linalg.norm(update) / np.linalg.norm(step))


def test_a_single_clients_update_points_the_way_the_model_went() -> None:
    old, new = np.zeros(3, np.float32), np.array([3, 4, 0], np.float32)
    found = measure(new, old, new)
    assert (found.update_norm, found.cosine, found.distance) == (5.0, 1.0, 0.0)


def test_the_opposite_way_is_minus_one() -> None:
    old, new = np.zeros(2, np.float32), np.array([1, 1], np.float32)
    assert measure(-new, old, new).cosine == pytest.approx(-1.0)


def test_no_direction_without_a_step() -> None:
    old = np.ones(3, np.float32)
    assert measure(old + 1, old, old).cosine is None
    assert measure(old, old, old + 1).cosine is None


def test_extreme_weights_do_not_overflow() -> None:
    top = np.full(4, np.finfo(np.float32).max, np.float32)
    found = measure(top, -top, top)
    assert np.isfinite(found.update_norm)
    assert found.cosine == pytest.approx(1.0)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-12, 1e-3, 1.0, 1e3, 1e12, 1e18])
@pytest.mark.parametrize("size", [7, 1000, 3 * BLOCK + 5])
def test_what_is_summed_in_float32_is_as_near_to_the_truth_as_is_said(size: int, scale: float) -> None:
    rng = np.random.default_rng(size)
    for spread in (1e-3, 1.0):
        old = (scale * rng.standard_normal(size)).astype(np.float32)
        weights = (old + scale * spread * rng.standard_normal(size)).astype(np.float32)
        new = (old + (weights - old) / 2 + scale * spread * rng.standard_normal(size) / 10).astype(np.float32)
        found, exact = measure(weights, old, new), [array.astype(np.float64) for array in (weights, old, new)]
        update, step, rest = exact[0] - exact[1], exact[2] - exact[1], exact[0] - exact[2]
        assert found.update_norm == pytest.approx(np.linalg.norm(update), rel=1e-7)
        assert length(weights, old) == pytest.approx(np.linalg.norm(update), rel=1e-7)
        assert found.distance == pytest.approx(np.linalg.norm(rest), rel=1e-7)
        assert found.cosine == pytest.approx(update @ step / np.linalg.norm(update) / np.linalg.norm(step), abs=2e-7)


def test_a_part_that_stood_still_and_one_that_hardly_moved_are_told_beside_what_moved_far() -> None:
    old, kinds = np.zeros(3 * BLOCK, np.float32), [1.0, 0.0, 1e-30, 1e25, 0.0]
    lengths = np.repeat(np.array(kinds, np.float32), 9000)
    for far in (3, 5):  # without what hides all others, and with it
        weights = old.copy()
        weights[: far * 9000] = lengths[: far * 9000]
        found, exact = measure(weights, old, -weights), weights.astype(np.float64)
        assert found.update_norm == length(weights, old) == pytest.approx(np.linalg.norm(exact), rel=1e-7)
        assert found.distance == pytest.approx(2 * np.linalg.norm(exact), rel=1e-7)
        assert found.cosine == pytest.approx(-1.0)
    tiny = np.where(np.arange(len(old)) < 9000, np.float32(0), np.float32(1e-30))
    assert length(tiny, old) == pytest.approx(np.linalg.norm(tiny.astype(np.float64)), rel=1e-7)


def test_what_goes_beyond_float32_is_found_behind_what_does_not() -> None:
    top = np.full(BLOCK, np.finfo(np.float32).max, np.float32)
    top[:9000] = 1.0
    found = measure(top, -top, top)
    assert found.update_norm == pytest.approx(2 * np.linalg.norm(top.astype(np.float64)), rel=1e-7)
    assert (found.cosine, found.distance) == (pytest.approx(1.0), 0.0)
