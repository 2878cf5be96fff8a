"""A model that came is kept with the threshold that belongs to it."""

from __future__ import annotations

import numpy as np
import pytest

from bramble_client.use.received import Received
from tests.protocol.test_kinds import ANOMALY


@pytest.mark.parametrize("threshold", [None, 0.25])
def test_a_model_is_read_back_whole_with_its_threshold(threshold: float | None) -> None:
    weights = np.arange(ANOMALY.layout.size, dtype=np.float32)
    written = Received("0" * 64, 3, ANOMALY.layout, weights, "next", threshold).written()
    assert written is not None
    read = Received.read(written)
    assert read is not None
    assert (read.round, read.forecast, read.threshold) == (3, "next", threshold)
    np.testing.assert_array_equal(read.weights, weights)


@pytest.mark.parametrize("damaged", ["", "[]", '["0", 1, [], "", null]', "null"])
def test_what_is_damaged_is_no_model(damaged: str) -> None:
    assert Received.read(damaged) is None
