"""What the bench of attacks makes of an experiment's cells."""

from __future__ import annotations

from typing import Any

import pytest

from bench import attacks
from bramble.simulation.grid import Cell
from bramble.simulation.report import Repeats


def repeats(values: dict[str, Any], *errors: float, reached: float | None = None, quarantined: int = 0) -> Repeats:
    told = {seed: {"error": error, "reached": reached, "quarantined": quarantined} for seed, error in enumerate(errors)}
    return Repeats(Cell(values, {}), told, {})


def test_each_attack_and_defence_is_a_row_against_fedavg_alone_and_unattacked() -> None:
    alone = {"judged": False, "quarantine": 0, "strategy": "fedavg"}
    backdoor = {"attack": {"name": "backdoor", "times": 5}, "strategy": {"name": "multikrum", "liars": 4}}
    clean, hurt = attacks.rows([repeats({"attack": "none", **alone}, 2.0, 2.0), repeats(backdoor, 2.2, 2.4, reached=0.5, quarantined=4)])
    assert (clean.name, clean.measured) == ("none, fedavg alone: held-out error", 0.0)
    assert hurt.name == "backdoor times=5, multikrum liars=4 behind judge and quarantine: held-out error"
    assert hurt.measured == pytest.approx(15)
    for words in ("2 seeds, 10.0 to 20.0 %", "the backdoor opens 50 ± 0 % of the way", "4.0 clients in quarantine"):
        assert words in hurt.ratio_of
