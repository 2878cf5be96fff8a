from __future__ import annotations

import numpy as np
import pytest

from bramble_server.learning.aggregate import BLOCK
from bramble_server.rounds.divergence import length, measure


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
