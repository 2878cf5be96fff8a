"""What the top of the page says of the best model and of one that was brought back."""

from __future__ import annotations

from typing import Any

import pytest

from bramble_inspector import header


@pytest.mark.parametrize(
    ("champion", "said"),
    [
        (None, []),
        ({"round": 7, "pinned": False, "worse": 0}, ["best: the model of round 7"]),
        ({"round": 7, "pinned": True, "worse": 2}, ["best: the model of round 7, pinned; the newest was worse in 2 rounds"]),
    ],
)
def test_the_best_model_is_named(champion: dict[str, Any] | None, said: list[str]) -> None:
    assert [line.children for line in header._champion({"champion": champion})] == said
    assert header._champion({}) == [], "a server of release 0.1 does not know"


def test_a_server_that_went_back_by_itself_says_why() -> None:
    entry = {"state": "committed", "rollback_of": 7, "reason": "rolled back to the model of round 7: it was worse"}
    assert header._how(entry) == "brought back the model of round 7: it was worse"
    assert header._how({**entry, "reason": "rolled back to the model of round 7"}) == "brought back the model of round 7"
