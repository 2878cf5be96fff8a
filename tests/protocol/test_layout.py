from __future__ import annotations

import numpy as np
import pytest

from bramble_protocol.errors import LayoutError
from bramble_protocol.layout import MAX_PARAMETERS, Layout

WIRE = [{"name": "dense/kernel", "shape": [2, 3]}, {"name": "dense/bias", "shape": [3]}, {"name": "scale", "shape": []}]


def test_a_layout_survives_the_wire() -> None:
    assert Layout.from_wire(WIRE).to_wire() == WIRE


def test_size_counts_scalars_too() -> None:
    assert Layout.from_wire(WIRE).size == 6 + 3 + 1


def test_split_and_join_are_inverse() -> None:
    layout = Layout.from_wire(WIRE)
    flat = np.arange(10, dtype=np.float32)
    tensors = list(layout.split(flat))
    assert [tensor.shape for tensor in tensors] == [(2, 3), (3,), ()]
    np.testing.assert_array_equal(layout.join(tensors), flat)


def test_split_gives_views_not_copies() -> None:
    flat = np.zeros(10, np.float32)
    next(iter(Layout.from_wire(WIRE).split(flat)))[0, 0] = 7
    assert flat[0] == 7


@pytest.mark.parametrize(
    ("wire", "names"),
    [
        (None, "layout"),
        ([], "layout"),
        ({}, "layout"),
        ([3], r"layout\[0\]"),
        ([{"name": "a"}], r"layout\[0\]"),
        ([{"name": "a", "shape": [1], "extra": 0}], r"layout\[0\]"),
        ([{"name": 3, "shape": [1]}], "name"),
        ([{"name": "", "shape": [1]}], "name"),
        ([{"name": "a", "shape": [1]}, {"name": "a", "shape": [1]}], "twice"),
        ([{"name": "a", "shape": [0]}], "shape"),
        ([{"name": "a", "shape": [-1]}], "shape"),
        ([{"name": "a", "shape": [True]}], "shape"),
        ([{"name": "a", "shape": [1.0]}], "shape"),
        ([{"name": "a", "shape": "12"}], "shape"),
        ([{"name": "a", "shape": [1] * 9}], "shape"),
        ([{"name": "a", "shape": [2**62, 2**62]}], "parameters"),
        ([{"name": "a", "shape": [MAX_PARAMETERS + 1]}], "parameters"),
    ],
)
def test_a_malformed_layout_is_refused_by_name(wire: object, names: str) -> None:
    with pytest.raises(LayoutError, match=names):
        Layout.from_wire(wire)


def test_weights_of_another_length_are_refused() -> None:
    with pytest.raises(LayoutError, match="expected 10 values"):
        list(Layout.from_wire(WIRE).split(np.zeros(9, np.float32)))


def test_tensors_of_another_shape_or_number_are_refused() -> None:
    layout = Layout.from_wire(WIRE)
    tensors = list(layout.split(np.zeros(10, np.float32)))
    with pytest.raises(LayoutError, match="expected 3 tensors"):
        layout.join(tensors[:2])
    with pytest.raises(LayoutError, match="dense/kernel"):
        layout.join([tensors[0].T, *tensors[1:]])
