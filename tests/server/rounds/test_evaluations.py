"""Evaluations on the coordinator, with a transport and a clock that a test holds: who is asked, what is kept, and when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bramble_protocol.errors import BrambleError
from bramble_protocol.features import EVALUATE
from bramble_protocol.messages import Evaluate, Evaluated
from bramble_server.rounds.evaluations import SILENT
from bramble_server.rounds.writer import RefusedError
from bramble_server.settings import ServerSettings
from bramble_server.store import evaluations
from tests.server.office import Office

Open = Callable[..., Office]


@pytest.fixture
def open_office(tmp_path: Path) -> Iterator[Open]:
    opened: list[Office] = []

    def open_with(**settings: Any) -> Office:
        opened.append(Office(tmp_path, **settings))
        return opened[-1]

    yield open_with
    for office in opened:
        if office.coordinator._writer._task.is_alive():
            office.close()


@pytest.fixture
def office(open_office: Open) -> Office:
    """With two clients that can try models."""
    office = open_office()
    office.join("a", "b", features=(EVALUATE,))
    return office


def answer(office: Office, client: str, error: float = 4.0, samples: int = 30, **other: Any) -> None:
    """Have a client answer what was last asked, with the same error of each model."""
    asked = office.transport.tried
    assert asked is not None
    found = Evaluated(asked.evaluation, samples, 9.0, dict.fromkeys(asked.models, error), **other)
    office.coordinator.evaluations.take(client, found)
    office.drain()


def tried(office: Office) -> int:
    """The evaluation that clients were last asked for."""
    asked: Evaluate | None = office.transport.tried
    assert asked is not None
    return asked.evaluation


def record(office: Office, number: int) -> dict[str, Any]:
    with office.store.reading() as connection:
        found = evaluations.one(connection, number)
    assert found is not None
    return found


def test_the_newest_model_is_tried_by_all_who_can_and_it_is_over_with_the_last_answer(office: Office) -> None:
    number = office.committed("a", "b")
    office.join("old")
    one, passed = office.coordinator.evaluations.start("small", ())
    assert (one.models, sorted(one.pending), list(passed)) == ((number,), ["a", "b"], ["old"])
    assert office.transport.said[-1] == (f"evaluate {one.number}", ["a", "b"])
    assert office.transport.tried is not None
    assert office.transport.tried.trained == number
    answer(office, "a", 4.0)
    answer(office, "a", 400.0)  # a repeat, which changes nothing
    assert record(office, one.number)["ended"] is None
    office.coordinator.evaluations.take("b", Evaluated(one.number, reason="no data yet"))
    office.drain()
    found = record(office, one.number)
    assert found["ended"] is not None
    assert found["clients"]["a"] == {"samples": 30, "baseline": 9.0, "errors": {str(number): 4.0}, "counts": None, "reason": None}
    assert found["clients"]["b"]["reason"] == "no data yet"
    assert "cannot try models" in found["clients"]["old"]["reason"]


def test_metrics_have_what_the_newest_evaluation_found_also_after_a_restart(open_office: Open) -> None:
    office = open_office()
    office.join("a", "b", features=(EVALUATE,))
    number = office.committed("a", "b")
    assert b"bramble_evaluation_error{" not in office.metrics.text()
    office.coordinator.evaluations.start("small", (0, number))
    answer(office, "a", 4.0, samples=10)
    answer(office, "b", 16.0, samples=30)
    wanted = (
        b'bramble_evaluation_error{metric="RMSE",task="small",unit="\xc2\xb0C"} 3.605',  # the root of 13
        b'bramble_evaluation_baseline{metric="RMSE",task="small",unit="\xc2\xb0C"} 3.0',
        b'bramble_evaluation_model_round{task="small"} %d.0' % number,
        b'bramble_evaluation_windows{task="small"} 40.0',
        b'bramble_evaluation_clients{task="small"} 2.0',
    )
    assert [line for line in wanted if line not in office.metrics.text()] == []
    office.close()
    again = open_office()
    assert [line for line in wanted if line not in again.metrics.text()] == []
    again.coordinator.reset()
    again.drain()
    assert b"bramble_evaluation_error{" not in again.metrics.text()


def test_counts_that_are_not_the_tasks_are_refused(office: Office) -> None:
    office.coordinator.evaluations.start("small", ())
    assert office.transport.tried is not None
    counts = {name: {"confusion": (1.0,)} for name in office.transport.tried.models}
    with pytest.raises(BrambleError, match="'confusion' is nothing that this task has counted"):
        answer(office, "a", counts=counts)
    answer(office, "a")


def test_several_models_are_tried_at_once_and_those_that_are_alike_once(office: Office) -> None:
    first = office.committed("a", "b", value=1.0)
    office.committed("a", "b", value=2.0)
    back = office.coordinator.rollback(first)
    one, _ = office.coordinator.evaluations.start("small", (0, first, back))
    assert office.transport.tried is not None
    assert len(office.transport.tried.models) == 2
    assert office.transport.tried.trained == first, "what came between was never in it"
    answer(office, "a")
    assert record(office, one.number)["clients"]["a"]["errors"] == {"0": 4.0, str(first): 4.0, str(back): 4.0}


def test_who_says_nothing_is_no_longer_waited_for_at_the_deadline(office: Office) -> None:
    one, _ = office.coordinator.evaluations.start("small", ())
    answer(office, "a")
    office.later(61.0)
    found = record(office, one.number)
    assert found["ended"] is not None
    assert found["clients"]["b"]["reason"] == SILENT
    with pytest.raises(RefusedError, match="evaluation over"):
        answer(office, "b")
    assert record(office, one.number) == found


def test_a_client_that_comes_back_is_asked_again_unless_it_has_answered(office: Office) -> None:
    office.coordinator.evaluations.start("small", ())
    answer(office, "a")
    for client in ("a", "b"):
        office.leave(client)
    office.later(20.0)
    office.transport.said.clear()
    office.join("a", "b", features=(EVALUATE,))
    assert office.transport.said == [("evaluate 1", ["b"])]
    assert office.transport.tried is not None
    assert office.transport.tried.deadline_s == pytest.approx(40.0)


def test_it_goes_on_after_the_server_was_killed(office: Office, open_office: Open) -> None:
    number = office.committed("a", "b")
    one, _ = office.coordinator.evaluations.start("small", ())
    answer(office, "a")
    office.die()
    again = open_office(clock=office.clock)
    again.join("a", "b", features=(EVALUATE,))
    assert again.transport.said == [(f"evaluate {one.number}", ["b"])]
    answer(again, "b", 16.0)
    found = record(again, one.number)
    assert found["ended"] is not None
    assert {name: part["errors"] for name, part in found["clients"].items()} == {"a": {str(number): 4.0}, "b": {str(number): 16.0}}


def test_one_of_a_task_at_a_time_and_none_without_anybody(office: Office) -> None:
    office.coordinator.evaluations.start("small", ())
    with pytest.raises(RefusedError, match="evaluation 1 of small is running") as refused:
        office.coordinator.evaluations.start("small", ())
    assert refused.value.code == "busy"
    answer(office, "a")
    answer(office, "b")
    office.leave("a")
    office.leave("b")
    office.join("old")
    with pytest.raises(RefusedError, match="no client can try models of small: old: it cannot try models") as refused:
        office.coordinator.evaluations.start("small", ())
    assert refused.value.code == "too few clients"


def test_a_reset_ends_it_and_no_number_comes_twice(office: Office) -> None:
    office.coordinator.evaluations.start("small", ())
    office.coordinator.reset()
    with pytest.raises(RefusedError, match="evaluation over"):
        answer(office, "a")
    one, _ = office.coordinator.evaluations.start("small", ())
    assert one.number == 2


def test_an_answer_about_other_models_is_refused_by_name(office: Office) -> None:
    office.coordinator.evaluations.start("small", ())
    with pytest.raises(BrambleError, match="errors: expected one of each model"):
        office.coordinator.evaluations.take("a", Evaluated(1, 30, 1.0, {"0" * 16: 1.0}))
    with pytest.raises(RefusedError, match="evaluation over"):
        office.coordinator.evaluations.take("stranger", Evaluated(1, 30, 1.0, {"0" * 16: 1.0}))


def test_in_private_mode_no_mean_over_few_windows_is_kept(open_office: Open) -> None:
    office = open_office(mode="private", min_updates=2, min_clients=2, allow_simulated=True)
    office.join("a", "b", features=(EVALUATE,))
    one, _ = office.coordinator.evaluations.start("small", ())
    answer(office, "a", samples=19)
    answer(office, "b", samples=20)
    found = record(office, one.number)["clients"]
    assert found["a"]["errors"] is None
    assert "fewer than 20 windows" in found["a"]["reason"]
    assert found["b"]["samples"] == 20


def test_the_newest_model_is_tried_by_itself_after_so_many_new_ones(open_office: Open) -> None:
    office = open_office(evaluate_every="2")
    office.join("a", "b", features=(EVALUATE,))
    office.committed("a", "b")
    assert office.transport.tried is None
    newest = office.committed("a", "b")
    office.drain()
    assert record(office, 1)["models"] == [newest]
    answer(office, "a")
    answer(office, "b")
    office.committed("a", "b")
    office.drain()
    assert tried(office) == 1
    newest = office.committed("a", "b")
    office.drain()
    assert record(office, 2)["models"] == [newest]


def test_or_at_an_interval_and_what_fails_is_not_tried_again_at_once(open_office: Open, caplog: pytest.LogCaptureFixture) -> None:
    office = open_office(evaluate_every="6h", deadline=60.0)
    office.join("a", "b", features=(EVALUATE,))
    office.later(30_000.0)
    assert office.transport.tried is None, "there is no model but the initial one"
    newest = office.committed("a", "b")
    office.drain()
    assert record(office, 1)["models"] == [newest]
    office.later(61.0)
    office.leave("a")
    office.leave("b")
    office.later(21_600.0)
    assert caplog.text.count("the newest model of small is not tried: no client can try models of small: nobody is connected") == 1
    office.join("a", features=(EVALUATE,))
    office.later(21_000.0)
    assert tried(office) == 1
    office.later(601.0)
    assert tried(office) == 2


@pytest.mark.parametrize("given", ["0", "-1", "often", "0.5s", 1e9, True])
def test_a_schedule_that_makes_no_sense_is_refused_by_name(given: Any) -> None:
    with pytest.raises(ValueError, match="expected a number of new models, such as 10, or a duration with its unit, such as 6h"):
        ServerSettings(evaluate_every=given)
