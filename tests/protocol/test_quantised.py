"""``int8`` and ``delta-int8``: how far off a value may be, that it is right on the average, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bramble_protocol.codecs import decode, encode, encoded_size
from bramble_protocol.errors import EncodingError
from bramble_protocol.layout import Layout

LAYOUT = Layout.of([("kernel", [3, 5]), ("bias", []), ("other", [4])])
EDGES = ((0, 15), (15, 16), (16, 20))
floats = st.floats(-(2.0**56), 2.0**56, width=32)
vectors = hnp.arrays(np.float32, LAYOUT.size, elements=floats)
GOLDEN = "0402013ca660953b0402013c818e9ba9b6c4d1deecf90614212f3c7f5764727f"
CODES = st.sampled_from(["int8", "delta-int8"])


def step(moved: np.ndarray) -> np.ndarray:
    """The 127th part of each tensor's largest magnitude, for each of its weights."""
    return np.concatenate([np.full(b - a, np.abs(moved[a:b].astype(np.float64)).max() / 127) for a, b in EDGES])


@given(weights=vectors, base=vectors, encoding=CODES, seed=st.text(max_size=9))
def test_no_value_is_off_by_more_than_one_step_of_its_own_tensor(weights: np.ndarray, base: np.ndarray, encoding: str, seed: str) -> None:
    data = encode(weights, LAYOUT, encoding, base, seed=seed)
    assert len(data) == encoded_size(LAYOUT, encoding) == LAYOUT.size + 4 * 3
    decoded = decode(data, LAYOUT, encoding, base).astype(np.float64)
    moved = weights - base if encoding == "delta-int8" else weights
    rounding = (np.abs(weights) + np.abs(base)) * 2.0**-22 if encoding == "delta-int8" else 0.0
    assert np.all(np.abs(decoded - weights) <= step(moved) * (1 + 1e-6) + rounding + np.finfo(np.float32).tiny)


@given(weights=vectors, encoding=CODES, seed=st.text(max_size=9))
def test_a_seed_gives_the_same_bytes(weights: np.ndarray, encoding: str, seed: str) -> None:
    base = np.zeros(LAYOUT.size, np.float32)
    assert encode(weights, LAYOUT, encoding, base, seed=seed) == encode(weights.copy(), LAYOUT, encoding, base, seed=seed)


def test_the_bytes_of_a_seed_are_these_on_every_machine() -> None:
    weights = np.linspace(-1, 1, LAYOUT.size).astype(np.float32)
    assert encode(weights, LAYOUT, "int8", seed="1 pi-1 3 rounding").hex() == GOLDEN


def test_whole_steps_come_through_as_they_are() -> None:
    layout = Layout.of([("w", [255])])
    weights = (np.arange(-127, 128) / 4).astype(np.float32)
    np.testing.assert_array_equal(decode(encode(weights, layout, "int8"), layout, "int8"), weights)
    nothing = np.zeros(255, np.float32)
    np.testing.assert_array_equal(decode(encode(nothing, layout, "int8"), layout, "int8"), nothing)


def test_the_mean_of_many_roundings_is_the_value() -> None:
    """Of 2,000 the mean is within five of its standard errors; rounding to the nearest would be off by up to half a step."""
    weights, count = np.linspace(0.003, 0.9, LAYOUT.size).astype(np.float32), 2000
    seen = np.mean(
        [decode(encode(weights, LAYOUT, "int8", seed=str(seed)), LAYOUT, "int8") for seed in range(count)], axis=0, dtype=np.float64
    )
    assert np.all(np.abs(seen - weights) <= 5 * step(weights) * 0.5 / np.sqrt(count) + 1e-7)


@pytest.mark.parametrize(
    ("scale", "sentence"),
    [
        (np.nan, "weights: the scale of bias is nan, no finite number"),
        (np.inf, "the scale of bias is inf"),
        (-1.0, "the scale of bias is -1"),
        (1e17, "the scale of bias is 1e\\+17, no finite number from 0 to 7.87e\\+15"),
    ],
)
@pytest.mark.parametrize("encoding", ["int8", "delta-int8"])
def test_a_scale_that_none_has_is_refused_by_its_tensor(scale: float, sentence: str, encoding: str) -> None:
    data = np.array([1, scale, 1], "<f4").tobytes() + bytes(LAYOUT.size)
    with pytest.raises(EncodingError, match=sentence):
        decode(data, LAYOUT, encoding, np.zeros(LAYOUT.size, np.float32))


def test_a_step_below_the_last_is_refused() -> None:
    data = np.ones(3, "<f4").tobytes() + np.array([0] * 7 + [-128] + [0] * 12, np.int8).tobytes()
    with pytest.raises(EncodingError, match="weights: value 7 is -128, and int8 goes from -127 to 127"):
        decode(data, LAYOUT, "int8")


@pytest.mark.parametrize("count", [0, 1, 12, 31, 33, 80])
def test_another_number_of_bytes_is_refused(count: int) -> None:
    with pytest.raises(EncodingError, match=f"weights: {count} bytes do not fit the layout, which takes 32 as int8"):
        decode(bytes(count), LAYOUT, "int8")


@given(data=st.binary(min_size=32, max_size=32))
def test_whatever_bytes_come_they_are_finite_or_refused(data: bytes) -> None:
    try:
        decoded = decode(data, LAYOUT, "int8")
    except EncodingError:
        return
    assert np.isfinite(decoded).all()
