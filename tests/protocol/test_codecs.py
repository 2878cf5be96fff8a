from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bramble_protocol.codecs import decode, encode, encoded_size, spoken
from bramble_protocol.errors import EncodingError
from bramble_protocol.layout import Layout


def layout(size: int) -> Layout:
    return Layout.of([("w", [size])])


PLAIN = ["float32", "float16"]
BASED = ["delta-float16", "delta-int8", "topk-0.01"]
finite16 = hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(-65504, 65504, width=16))


@given(weights=finite16, encoding=st.sampled_from(PLAIN))
def test_what_an_encoding_can_hold_survives_exactly(weights: np.ndarray, encoding: str) -> None:
    data = encode(weights, layout(len(weights)), encoding)
    assert len(data) == encoded_size(layout(len(weights)), encoding)
    decoded = decode(data, layout(len(weights)), encoding)
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, weights)


@given(weights=hnp.arrays(np.float32, 20, elements=st.floats(-6e4, 6e4, width=32)))
def test_float16_rounds_to_eleven_bits(weights: np.ndarray) -> None:
    decoded = decode(encode(weights, layout(20), "float16"), layout(20), "float16")
    np.testing.assert_allclose(decoded, weights, rtol=2**-11, atol=2**-25)


def test_bytes_are_little_endian_in_order() -> None:
    assert encode(np.array([1.0, -2.0], np.float32), layout(2), "float32") == bytes.fromhex("0000803f000000c0")
    assert encode(np.array([1.0, -2.0], np.float32), layout(2), "float16") == bytes.fromhex("003c00c0")


@pytest.mark.parametrize("encoding", PLAIN)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_both_ways(encoding: str, bad: float) -> None:
    weights = np.array([0, bad], np.float32)
    with pytest.raises(EncodingError, match="value 1 is not finite"):
        encode(weights, layout(2), encoding)
    data = weights.astype("<f4" if encoding == "float32" else "<f2").tobytes()
    with pytest.raises(EncodingError, match="value 1 is not finite"):
        decode(data, layout(2), encoding)


@pytest.mark.parametrize("bad", [1.1e18, -3.4e38])
def test_a_weight_beyond_all_measure_is_refused_as_diverged(bad: float) -> None:
    weights = np.array([0, 0, bad], np.float32)
    for attempt in (lambda: encode(weights, layout(3), "float32"), lambda: decode(weights.tobytes(), layout(3), "float32")):
        with pytest.raises(EncodingError, match=r"value 2 is .* diverged"):
            attempt()


def test_what_overflows_float16_is_refused_not_sent_as_infinity() -> None:
    with pytest.raises(EncodingError, match="float16"):
        encode(np.array([70000.0], np.float32), layout(1), "float16")


@pytest.mark.parametrize("data", [b"", b"abc", bytes(7), bytes(9), bytes(4)])
def test_a_byte_count_that_does_not_fit_is_refused(data: bytes) -> None:
    with pytest.raises(EncodingError, match="do not fit"):
        decode(data, layout(2), "float32")


@pytest.mark.parametrize("data", ["text", None, 3, [0.0, 0.0], {"_placeholder": True}])
def test_what_is_not_bytes_is_refused(data: object) -> None:
    with pytest.raises(EncodingError, match="expected bytes"):
        decode(data, layout(2), "float32")


@pytest.mark.parametrize(
    "encoding", ["int4", "", None, 3, ["float32"], "topk", "topk-0", "topk-0.0", "topk-0.010", "topk-0.6", "topk-1e-2", "topk-nan"]
)
def test_an_unknown_encoding_is_refused_with_those_that_are_known(encoding: object) -> None:
    with pytest.raises(EncodingError, match="float32, float16"):
        decode(bytes(8), layout(2), encoding)  # type: ignore[arg-type]


def test_decoding_float32_copies_nothing() -> None:
    data = bytearray(8)
    decoded = decode(data, layout(2), "float32")
    data[0:4] = bytes.fromhex("0000803f")
    assert decoded[0] == 1.0


vectors = hnp.arrays(np.float32, 20, elements=st.floats(-1e3, 1e3, width=32))


@given(base=vectors, moved=hnp.arrays(np.float32, 20, elements=st.floats(-1, 1, width=32)))
def test_what_a_client_changed_comes_through_to_eleven_bits_of_the_change(base: np.ndarray, moved: np.ndarray) -> None:
    weights = base + moved
    data = encode(weights, layout(20), "delta-float16", base)
    assert len(data) == encoded_size(layout(20), "float16")
    decoded = decode(data, layout(20), "delta-float16", base)
    change = weights - base
    bound = np.abs(change) * 2**-11 + 2**-25 + np.abs(weights) * 2**-23
    assert np.all(np.abs(decoded.astype(np.float64) - weights) <= bound)


@pytest.mark.parametrize("encoding", BASED)
def test_a_codec_that_needs_a_base_says_so_without_one(encoding: str) -> None:
    weights = np.ones(2, np.float32)
    data = bytes(encoded_size(layout(2), encoding))
    for attempt in (lambda: encode(weights, layout(2), encoding), lambda: decode(data, layout(2), encoding)):
        with pytest.raises(EncodingError, match=f"{encoding} says how far .* and there is none here"):
            attempt()
    with pytest.raises(EncodingError, match="needs a base of 2 values"):
        encode(weights, layout(2), encoding, np.ones(3, np.float32))


@pytest.mark.parametrize("encoding", BASED)
@pytest.mark.parametrize(("weight", "base"), [(np.nan, 0.0), (np.inf, np.inf), (-3e38, 3e38)])
def test_a_change_that_is_not_finite_is_refused_not_sent(encoding: str, weight: float, base: float) -> None:
    with pytest.raises(EncodingError, match="value 1 is not finite"):
        encode(np.array([0, weight], np.float32), layout(2), encoding, np.array([0, base], np.float32))


def test_a_change_that_float16_cannot_hold_is_refused_not_sent() -> None:
    with pytest.raises(EncodingError, match="value 1 is not finite"):
        encode(np.array([0, 7e4], np.float32), layout(2), "delta-float16", np.zeros(2, np.float32))


@pytest.mark.parametrize("encoding", BASED)
def test_a_change_to_a_weight_beyond_all_measure_is_refused(encoding: str) -> None:
    base = np.array([0, 1.1e18], np.float32)
    with pytest.raises(EncodingError, match=r"value 1 is .* diverged"):
        decode(encode(base, layout(2), encoding, base), layout(2), encoding, base)


def test_a_peer_is_spoken_to_in_what_it_knows() -> None:
    assert spoken("delta-float16", ()) == "float16"
    assert spoken("delta-float16", ("sections", "delta-float16")) == "delta-float16"
    assert spoken("float32", ()) == "float32"
    assert spoken("topk-0.02", ("sections", "topk")) == "topk-0.02"
    assert {spoken(name, ("sections",)) for name in ("int8", "delta-int8", "topk-0.02")} == {"float32"}
    with pytest.raises(EncodingError, match="'int4' is not one of float32, float16, delta-float16"):
        spoken("int4", ("int4",))
