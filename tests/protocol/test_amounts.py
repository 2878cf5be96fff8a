"""Amounts as people write them."""

from __future__ import annotations

import pytest

from bramble_protocol.amounts import seconds, size


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("1d", 86400), (" 2 m ", 120)])
def test_a_duration_is_read_as_seconds(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1w", "1e3", "10 minutes", "1m30s", "."])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90s, 10m or 1h"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("500000", 500_000), ("200M", 200_000_000), ("200 mb", 200_000_000), ("1.5G", 1_500_000_000), ("0", 0), ("3k", 3000)],
)
def test_a_size_is_read_as_bytes(text: str, number: int) -> None:
    assert size(text) == number


@pytest.mark.parametrize("text", ["", "M", "-5", "5 apples", "1,5G", "0x10"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected an amount such as 200M or 1\.5G"):
        size(text)


@pytest.mark.parametrize("value", [5, 2.5, None, True])
def test_what_is_no_text_is_left_to_the_caller(value: object) -> None:
    assert seconds(value) is value
    assert size(value) is value
