"""Amounts of data as people write them."""

from __future__ import annotations

import pytest

from bramble_protocol.sizes import size


@pytest.mark.parametrize(
    ("text", "number"),
    [("500000", 500_000), ("200M", 200_000_000), ("200 mb", 200_000_000), ("1.5G", 1_500_000_000), ("0", 0), ("3k", 3000)],
)
def test_an_amount_is_read(text: str, number: int) -> None:
    assert size(text) == number


@pytest.mark.parametrize("text", ["", "M", "-5", "5 apples", "1,5G", "0x10"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected an amount such as 200M or 1\.5G"):
        size(text)


def test_a_number_passes() -> None:
    assert size(5) == 5
