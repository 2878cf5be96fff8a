"""``topk-SHARE``: what is sent, that what is not can be made up for, and what is refused."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bramble_protocol.codecs import decode, encode, encoded_size
from bramble_protocol.errors import EncodingError
from bramble_protocol.layout import Layout

LAYOUT = Layout.of([("w", [10, 5])])
TENTH = "topk-0.1"
NOTHING = np.zeros(LAYOUT.size, np.float32)
vectors = hnp.arrays(np.float32, LAYOUT.size, elements=st.floats(-6e4, 6e4, width=32))


@given(weights=vectors)
def test_the_largest_come_to_eleven_bits_and_the_others_not_at_all(weights: np.ndarray) -> None:
    data = encode(weights, LAYOUT, TENTH, NOTHING)
    assert len(data) == encoded_size(LAYOUT, TENTH) == 5 * 4
    decoded = decode(data, LAYOUT, TENTH, NOTHING)
    places = np.frombuffer(data, "<u2", 5)
    assert np.all(np.diff(places.astype(int)) > 0)
    others = np.delete(np.arange(LAYOUT.size), places)
    assert np.abs(weights[places]).min() >= np.abs(weights[others]).max()
    np.testing.assert_allclose(decoded[places], weights[places], rtol=2**-11, atol=2**-25)
    assert not decoded[others].any()


@given(weights=vectors)
def test_what_is_lost_is_never_more_than_all_but_the_share(weights: np.ndarray) -> None:
    """Stich et al. 2018, definition 2.1: ``|x - top_k(x)|^2 <= (1 - k / d) |x|^2``, but for float16's own rounding."""
    weights = weights.astype(np.float64)
    lost = weights - decode(encode(weights.astype(np.float32), LAYOUT, TENTH, NOTHING), LAYOUT, TENTH, NOTHING)
    assert np.square(lost).sum() <= (1 - 5 / 50 + 2**-20) * np.square(weights).sum() + 50 * 2.0**-48


def test_of_equal_ones_the_first_are_sent_on_every_processor() -> None:
    data = encode(np.ones(LAYOUT.size, np.float32), LAYOUT, TENTH, NOTHING)
    assert np.frombuffer(data, "<u2", 5).tolist() == [0, 1, 2, 3, 4]


def test_what_float16_cannot_hold_is_sent_as_far_as_it_goes_for_the_rest_comes_later() -> None:
    weights = NOTHING.copy()
    weights[7] = -1e9
    assert decode(encode(weights, LAYOUT, TENTH, NOTHING), LAYOUT, TENTH, NOTHING)[7] == -65504


@given(size=st.integers(1, 300_000), share=st.integers(1, 500_000_000))
def test_the_number_that_travels_is_the_share_rounded_up_exactly(size: int, share: int) -> None:
    exact = Fraction(share, 10**9)
    name = f"topk-{share / 10**9:.9f}".rstrip("0")
    each = 4 if size <= 65536 else 6
    assert encoded_size(Layout.of([("w", [size])]), name) == each * max(1, math.ceil(exact * size))


def test_a_large_layout_has_wider_places() -> None:
    layout = Layout.of([("w", [70_000])])
    weights = np.zeros(70_000, np.float32)
    weights[[3, 69_999]] = 1.0, -2.0
    data = encode(weights, layout, "topk-0.001", np.zeros(70_000, np.float32))
    assert len(data) == 70 * 6
    np.testing.assert_array_equal(decode(data, layout, "topk-0.001", np.zeros(70_000, np.float32)), weights)


def attachment(places: list[int], values: list[float]) -> bytes:
    return np.array(places, "<u2").tobytes() + np.array(values, "<f2").tobytes()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (attachment([0, 1, 2, 3, 50], [1.0] * 5), "weights: index 50 is out of range, the model has 50 weights"),
        (attachment([0, 65535, 2, 3, 4], [1.0] * 5), "weights: index 65535 is out of range"),
        (attachment([0, 1, 1, 3, 4], [1.0] * 5), "weights: index 1 is there twice"),
        (attachment([0, 1, 9, 3, 4], [1.0] * 5), "weights: its indices are not sorted, 3 comes late"),
        (attachment([0, 1, 2, 3, 4], [1.0, 1.0, float("nan"), 1.0, 1.0]), "weights: value 2 is not finite as topk-0.1"),
        (attachment([0, 1, 2, 3, 4], [1.0, float("-inf"), 1.0, 1.0, 1.0]), "weights: value 1 is not finite"),
        (attachment([0, 1, 2, 3], [1.0] * 4), "weights: 16 bytes do not fit the layout, which takes 20 as topk-0.1"),
        (attachment([0, 1, 2, 3, 4, 5], [1.0] * 6), "weights: 24 bytes do not fit"),
        (b"", "weights: 0 bytes do not fit"),
    ],
)
def test_what_no_encoder_makes_is_refused_by_name(data: bytes, sentence: str) -> None:
    with pytest.raises(EncodingError, match=sentence):
        decode(data, LAYOUT, TENTH, NOTHING)


@given(data=st.binary(min_size=20, max_size=20))
def test_whatever_bytes_come_they_are_a_change_of_a_tenth_or_refused(data: bytes) -> None:
    try:
        decoded = decode(data, LAYOUT, TENTH, NOTHING)
    except EncodingError:
        return
    assert np.isfinite(decoded).all()
    assert np.count_nonzero(decoded) <= 5
