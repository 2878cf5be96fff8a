"""``bramble simulate`` with the tasks that are not the usual one, and with another length of its bins."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.bramble.test_simulate import bramble


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [("--task", "room", "--clients", 4), ("--task", "activity", "--clients", 10), ("--task", "climate", "--step", "30m", "--clients", 4)],
    ids=["room", "activity", "climate of half hours"],
)
def test_a_fleet_is_better_than_the_baseline_after_two_rounds(tmp_path: Path, arguments: tuple[object, ...]) -> None:
    bramble(*arguments, "--rounds", 2, "--out", tmp_path / "out")
    with (tmp_path / "out" / "rounds.csv").open() as file:
        rounds = list(csv.DictReader(file))
    assert [each["state"] for each in rounds] == ["committed"] * 2
    assert float(rounds[1]["error"]) < float(rounds[1]["baseline"])
