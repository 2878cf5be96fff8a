"""A client whose owner does not let it train for the time being: it is not asked, nobody waits for it, and everybody sees why."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from bramble_protocol import health
from tests.server.pi import Pi, update
from tests.server.process import ServerProcess
from tests.waiting import wait_for

SENTENCE = "does not train: outside of the hours in which it may, until 2026-11-28 01:00 UTC, so it is not asked for rounds"
UNTIL = 1_795_827_600.0


def report(pi: Pi, not_now: str | None = None, **other: object) -> None:
    assert pi.call("health", {"sent": time.time(), "not_now": not_now, **other}) == {"accepted": True}


def test_it_is_asked_again_when_it_may(server: ServerProcess, join: Callable[..., Pi]) -> None:
    night, day = join("pi-night"), join("pi-day")
    before = server.api.status()["revision"]
    report(night, "hours", not_before=UNTIL)
    wait_for(lambda: server.api.status()["revision"] > before, "everybody to be told")
    assert server.api.status()["able"] == 1
    shown = server.api.clients()["pi-night"]
    assert SENTENCE in shown["remarks"]
    assert list(shown["tasks"].values()) == [SENTENCE]
    assert shown["fits"]
    started = server.api.start()
    assert started["clients"] == ["pi-day"]
    day.call("training_complete", update(started["round"]))
    wait_for(lambda: server.api.status()["running"] is None, "the commit, for which nobody else is waited")
    report(night)
    assert server.api.clients()["pi-night"]["remarks"] == []
    both = server.api.start()
    assert both["clients"] == ["pi-day", "pi-night"]
    for pi in (day, night):
        pi.call("training_complete", update(both["round"]))
    wait_for(lambda: server.api.status()["running"] is None, "the next commit")
    report(night, "bytes", not_before=UNTIL)
    updates = server.api.updates(weights=False)
    assert updates["pi-night"]["not_asked"].startswith("does not train: this month's bytes are used up, until 2026-11-28 01:00 UTC")
    assert updates["pi-day"]["not_asked"] is None


def test_one_that_was_asked_before_it_could_say_so_is_not_waited_for(server: ServerProcess, join: Callable[..., Pi]) -> None:
    night, day = join("pi-night"), join("pi-day")
    number = server.api.start()["round"]
    report(night, "power")
    night.call("training_failed", {"round": number, "reason": "not now: does not train: its power supply is too weak"})
    day.call("training_complete", update(number))
    wait_for(lambda: server.api.status()["running"] is None, "the commit")
    parts = server.api.round(number)["clients"]
    assert parts["pi-night"]["reason"] == "not now: does not train: its power supply is too weak"
    assert server.api.round(number)["state"] == "committed"


@pytest.mark.parametrize("why", health.RESTING)
def test_whatever_it_rests_for_is_said_until_it_leaves(server: ServerProcess, join: Callable[..., Pi], why: str) -> None:
    pi = join(f"pi-{why}")
    report(pi, why)
    (remark,) = server.api.clients()[f"pi-{why}"]["remarks"]
    assert remark == f"does not train: {health.RESTING[why]}, so it is not asked for rounds"
    pi.close()
    wait_for(lambda: not server.api.clients()[f"pi-{why}"]["connected"], "its leaving")
    assert server.api.clients()[f"pi-{why}"]["remarks"] == []


def test_one_that_trains_slowly_is_asked_and_says_so(server: ServerProcess, join: Callable[..., Pi]) -> None:
    pi = join("pi-hot")
    report(pi, slow=True)
    assert server.api.clients()["pi-hot"]["remarks"] == ["trains at half its pace, for it is hot or throttled"]
    assert server.api.status()["able"] == 1
