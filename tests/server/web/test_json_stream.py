"""JSON in pieces is the same JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bramble_protocol.layout import Layout
from bramble_server.web import json_stream


@pytest.mark.parametrize(
    "shape", [(), (1,), (7,), (10,), (11,), (100,), (3, 2), (5, 4), (100, 1), (2, 50), (3, 11, 2), (2, 2, 2, 2, 2), (4, 0)]
)
def test_an_array_of_any_shape_is_the_nested_list_that_numpy_makes(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "PIECE", 10)
    array = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    assert json.loads("".join(json_stream.nested(array))) == array.tolist()


def test_no_piece_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "PIECE", 10)
    for shape in [(1000,), (10, 100), (2, 10, 50), (1000, 1)]:
        parts = list(json_stream.nested(np.ones(shape, np.float32)))
        assert max(part.count("1.0") for part in parts) == 10


def test_weights_are_an_object_by_tensor() -> None:
    layout = Layout.of([("dense/kernel", [2, 2]), ('odd "name"', [1])])
    flat = np.arange(5, dtype=np.float32)
    assert json.loads(json_stream.rendered(json_stream.weights(layout, flat))) == {"dense/kernel": [[0, 1], [2, 3]], 'odd "name"': [4]}


def test_an_object_without_members_is_one() -> None:
    assert json_stream.rendered(json_stream.members([])) == b"{}"
