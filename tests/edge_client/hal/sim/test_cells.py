from __future__ import annotations

import random

import pytest

from bramble_client.hal.sim.recordings.cells import Cells


@pytest.mark.parametrize("seed", range(5))
def test_numbers_that_are_read_at_once_are_those_that_python_reads(seed: int) -> None:
    rng = random.Random(seed)
    texts = []
    for _ in range(4000):
        decimals, digits = rng.randrange(8), rng.randrange(1, 15)
        texts.append(
            rng.choice(
                [f"{rng.uniform(-1e4, 1e4):.{decimals}f}", str(rng.randrange(10**digits)), f"+{rng.random():.3f}", ".5", "5.", "-0.0"]
            )
        )
    numbers = Cells.of(texts).numbers()
    assert numbers is not None
    assert numbers.tolist() == [float(text) for text in texts]


@pytest.mark.parametrize("text", ["1e5", "--1", "1-", "1.2.3", "x", "-", " 1", "1_0", ".", "1234567890123456", "NA", "1,5", "١"])
def test_what_is_not_plain_is_left_to_be_read_one_by_one(text: str) -> None:
    cells = Cells.of(["1", text, "2"])
    assert cells.numbers() is None
    assert [*cells] == ["1", text, "2"]
    assert (len(cells), cells[1]) == (3, text)


def test_an_empty_cell_is_no_number_and_spoils_no_other() -> None:
    numbers = Cells.of(["", "1", "", "-2.5", ""]).numbers()
    assert numbers is not None
    assert str(numbers.tolist()) == "[nan, 1.0, nan, -2.5, nan]"
    assert Cells.of(["", ""]).numbers() is None


def test_cells_of_one_length_are_a_table_of_bytes() -> None:
    table = Cells.of(["ab", "cd"]).table()
    assert table is not None
    assert table.tolist() == [[97, 98], [99, 100]]
    assert Cells.of(["ab", "c"]).table() is None


def test_a_mark_is_found_in_its_own_column() -> None:
    cells = Cells.of(["1.5", "2"])
    assert cells.hold(".")
    assert not cells.hold(",")
    second = Cells(cells._data, cells._begin[1:], cells._end[1:])
    assert not second.hold(".")
