from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bramble_server.rounds.shelf import SHORT, Updates


@pytest.mark.parametrize(("size", "waits"), [(SHORT // 4, True), (SHORT // 4 + 1, False)])
def test_the_next_answer_of_a_round_is_waited_for_only_where_it_takes_little_time_to_come(size: int, waits: bool) -> None:
    track: Any = SimpleNamespace(owing=3, model=SimpleNamespace(weights=np.empty(size, np.float32)))
    updates = Updates([track], lambda delivered: True)  # type: ignore[arg-type]
    assert updates.awaits(2) is waits
    assert not updates.awaits(3), "they are all here"
