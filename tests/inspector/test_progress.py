from __future__ import annotations

from typing import Any

import pytest

from bramble_inspector import progress
from bramble_inspector.app import create_app
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import anatomy
from bramble_inspector.settings import InspectorSettings

SENT = 1000.0


@pytest.fixture(scope="module", autouse=True)
def addresses() -> None:
    """Links are below the path at which some app is."""
    create_app(InspectorSettings())


def part(**more: Any) -> dict[str, Any]:
    own = {"received": 1001.0, "train_start": 1002.0, "train_end": 1006.0}
    return {"sent": SENT, "replied": 1007.0, **own, "reason": None, "asked": None, **more}


def entry(number: int = 7, **more: Any) -> dict[str, Any]:
    clients = {"a": part(), "b": part(replied=None, reason="no answer by the deadline"), "c": part(asked=5, replied=1003.0)}
    known = {"round": number, "state": "committed", "started": SENT, "ended": 1010.0, "selected": 3, "updates": 2, "metrics": {}}
    return {**known, "clients": clients, "discipline": {"name": "asynchronous", "parameters": {"buffer": 2}}, **more}


def snapshot(*entries: dict[str, Any], **status: Any) -> Snapshot:
    said = {"running": None, "waiting_for": [], "clients": 3, "min_clients": 2, "task": "climate", **status}
    return Snapshot(status=said, rounds={one["round"]: one for one in entries})


@pytest.mark.parametrize("off", [0.0, 86_400.0, -3.0], ids=["right", "a day ahead", "3 s behind"])
def test_phases_add_up_to_the_time_between_question_and_answer_however_wrong_the_clients_clock_is(off: float) -> None:
    own = {name: at + off for name, at in part().items() if name in ("received", "train_start", "train_end")}
    assert anatomy.edges(part(**own)) == pytest.approx([1000, 1001, 1002, 1006, 1007])


def test_what_is_not_known_of_a_client_is_not_made_up() -> None:
    assert anatomy.edges(part(replied=None)) is anatomy.edges(part(sent=None)) is None
    assert anatomy.edges(part(received=None)) == [SENT, SENT, SENT, 1007.0, 1007.0], "from question to answer"


def test_an_anatomy_shows_each_phase_and_who_did_not_answer_the_slowest_first() -> None:
    figure = anatomy.figure(entry(), 1020.0)
    assert figure["layout"]["yaxis"]["categoryarray"] == ["b", "a", "c"]
    bars = {trace["name"]: dict(zip(trace["y"], zip(trace["base"], trace["x"], strict=True), strict=True)) for trace in figure["data"]}
    assert bars["training"]["a"] == (2.0, 4.0)
    assert bars["no answer"] == {"b": (0.0, 10.0)}
    running = anatomy.figure(entry(state="running", ended=None), 1020.0)
    assert {trace["name"]: trace["x"] for trace in running["data"]}["awaited"] == [20.0]


def test_a_round_of_thousands_is_drawn_by_those_that_it_waited_for() -> None:
    many = {f"pi-{place}": part(replied=SENT + place) for place in range(2000)}
    drawn = anatomy.figure(entry(clients=many), 0.0)["layout"]["yaxis"]["categoryarray"]
    assert drawn == [f"pi-{place}" for place in range(1999, 1999 - anatomy.MOST, -1)]


def test_the_history_says_how_each_round_went_and_who_was_left_out_why() -> None:
    shown = repr(progress.history(snapshot(entry(6, state="abandoned", reason="nobody answered"), entry(7))))
    for said in ("asynchronous, buffer 2", "b: no answer by the deadline", "0.67, at most 2", "was abandoned (nobody answered)"):
        assert said in shown
    assert shown.index("/rounds/7") < shown.index("/rounds/6")


@pytest.mark.parametrize("number", ["8", "-1", "x" * 99, "7.0", "<b>", "9" * 30, "²"])
def test_a_round_that_is_not_there_is_said_with_those_that_are(number: str) -> None:
    shown = repr(progress.said(snapshot(entry(6), entry(7)), number))
    assert "There is no round" in shown
    assert "the newest is 7" in shown
    assert progress.clients(snapshot(entry(6)), number) is None


def test_a_round_that_runs_says_who_is_awaited_and_for_how_long() -> None:
    shown = repr(progress.cards(snapshot(entry(state="running", ended=None, deadline=60.0), running=7, waiting_for=["b"]), 1025.0))
    for said in ("2 of 3 answered", "25 s", "35 s until it ends anyway", "Awaited"):
        assert said in shown
