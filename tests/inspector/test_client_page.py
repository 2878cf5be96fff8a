"""What a client's page says of its budgets."""

from __future__ import annotations

from typing import Any

import pytest

from bramble_inspector.feed import Snapshot
from bramble_inspector.pages import client

NOW = 1_800_000_000.0  # 2027-01-15T08:00Z


@pytest.mark.parametrize(
    ("health", "said", "unsaid"),
    [
        ({"bytes_left": 137_000_000}, "137.0 MB left of this month", "hours"),
        ({"hours_until": NOW + 9000}, "2.5 h left of its hours, until 10:30 UTC", "no limit"),
        ({"bytes_left": 0, "not_now": "bytes", "not_before": NOW}, "0.0 MB left of this month", "no limit"),
        ({"not_now": "hours"}, "outside of the hours in which it may", "no limit"),
        ({"soc_temperature": 50.0}, "no limit of bytes or hours", "left of"),
    ],
)
def test_budgets_say_what_is_left_or_that_there_is_no_limit(
    monkeypatch: pytest.MonkeyPatch, health: dict[str, Any], said: str, unsaid: str
) -> None:
    monkeypatch.setattr("bramble_inspector.pages.client.time.time", lambda: NOW)
    text = str(client._budgets(Snapshot(), health))
    assert said in text
    assert unsaid not in text
