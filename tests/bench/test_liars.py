"""What the bench of liars makes of its experiments' cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import liars
from bramble.settings import WorkersSettings
from bramble.simulation import grid
from bramble.simulation.grid import Cell
from bramble.simulation.report import Repeats

FLIP = {"name": "flip", "times": 5}


def cell(attack: Any, strategy: Any, rate: float, *errors: float, tuning: float, clients: int = 20) -> Repeats:
    values = {"attack": attack, "strategy": strategy, "learning_rate": rate, "clients": clients}
    told = dict(enumerate(errors, 1)) | dict.fromkeys(liars.TUNING, tuning)
    return Repeats(Cell(values, {}), {seed: {"error": error} for seed, error in told.items()}, {})


def test_each_strategy_is_told_at_the_rate_that_was_best_in_other_draws_against_fedavgs_clean_run() -> None:
    found = liars.rows(
        [
            cell("none", "fedavg", 0.1, 2.0, 2.0, tuning=2.0),
            cell("none", "fedavg", 0.3, 1.0, 1.0, tuning=2.1),
            cell(FLIP, "fedavg", 0.1, 90.0, 50.0, tuning=70.0),
            cell(FLIP, "fedavg", 0.3, 9.0, 5.0, tuning=7.0),
            cell("none", "median", 0.1, 2.02, 2.02, tuning=9.0),
            cell("none", "median", 0.3, 2.04, 2.04, tuning=1.0),
            cell(FLIP, "median", 0.1, 2.1, 2.2, tuning=2.5),
            cell(FLIP, "median", 0.3, 2.0, 2.0, tuning=2.6),
        ]
    )
    assert [(row.name.partition(":")[0], row.measured, row.limit) for row in found] == [
        ("fedavg at 0.1, 4 of 20 lie", pytest.approx(3400), 100),
        ("median at 0.1, nobody lies", pytest.approx(1), 3),
        ("median at 0.1, 4 of 20 lie", pytest.approx(7.5), 5),
    ]
    assert "median of 2 draws, 5.00 to 10.00 %" in found[-1].ratio_of


def test_a_fleet_of_five_is_compared_with_its_own_clean_run() -> None:
    krum = {"name": "krum", "liars": 4}
    found = liars.rows_beside(
        [
            cell("none", krum, 0.1, 2.2, tuning=0.0),
            cell("none", "fedavg", 0.1, 4.0, tuning=0.0, clients=5),
            cell(FLIP, "rfa", 0.1, 5.0, tuning=0.0, clients=5),
        ],
        {1: 2.0},
    )
    assert [(row.name.partition(":")[0], row.measured) for row in found] == [
        ("krum liars=4, nobody lies", pytest.approx(10)),
        ("rfa, 1 of 5 lies", pytest.approx(25)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", liars.FILES)
def test_its_experiments_can_begin(name: str) -> None:
    assert grid.read(Path(liars.HERE / f"{name}.toml"), WorkersSettings(workers=1)).cells
