"""Which round is trained, and what becomes of the result; the runs themselves are gates that the tests open."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bramble_client.learn.trainer import BrokenOff, NotEnoughData
from bramble_client.learn.training_queue import TrainingQueue
from bramble_protocol import BrambleError
from bramble_protocol.messages import ClientUpdate
from tests.edge_client.learn.training_bench import Bench, request
from tests.waiting import wait_for


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "outbox.db")) as made:
        yield made


def test_a_request_is_trained_and_its_answer_put_into_the_outbox(bench: Bench) -> None:
    bench.training.ask(request(3, weight=1.0))
    bench.wait_begun(3)
    bench.outcome.put(0.5)
    item = bench.answer()
    assert item.event == "training_complete"
    assert item.payload["round"] == 3
    assert np.frombuffer(item.payload["weights"], "<f4").tolist() == [1.5] * 4
    assert item.note["tested_until"] == 0.5
    wait_for(lambda: bench.trained == [(3, 0.5)], "the note")


def test_the_same_request_again_while_it_is_trained_is_trained_once(bench: Bench) -> None:
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.training.ask(request(1))
    bench.training.ask(request(1))
    bench.outcome.put(0.5)
    bench.answer()
    bench.wait_idle()
    assert bench.runs == 1


def test_the_same_request_again_while_its_result_waits_is_not_trained_but_sent(bench: Bench) -> None:
    bench.training.ask(request(1))
    bench.outcome.put(0.5)
    first = bench.answer()
    bench.wait_idle()
    bench.training.ask(request(1))
    assert not bench.training._waiting
    assert bench.outbox.answer() == first
    assert bench.runs == 1


def test_a_result_that_waits_is_recognised_after_a_restart(bench: Bench) -> None:
    bench.training.ask(request(1))
    bench.outcome.put(0.5)
    bench.answer()
    again = TrainingQueue(lambda update, received: pytest.fail("trained twice"), bench.outbox)
    again.ask(request(1))
    assert not again._waiting


@pytest.mark.parametrize("other", [request(1, weight=2.0), request(1, seed=5), replace(request(1), graph="1" * 64)], ids=["w", "c", "g"])
def test_the_same_round_of_another_fleet_is_another_request(bench: Bench, other: ClientUpdate) -> None:
    bench.training.ask(request(1))
    bench.outcome.put(0.5)
    bench.answer()
    bench.wait_begun(1)
    bench.training.ask(other)
    bench.wait_begun(1)
    bench.outcome.put(0.25)
    wait_for(lambda: bench.answer().note["tested_until"] == 0.25, "the other result")
    assert bench.runs == 2


def test_a_newer_request_lets_the_older_result_fall(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.training.ask(request(2))
    bench.outcome.put(0.5)
    bench.wait_begun(2)
    assert bench.outbox.answer() is None
    assert "round 1 of small: the result is dropped: a newer round came" in caplog.text
    bench.outcome.put(0.75)
    assert bench.answer().payload["round"] == 2
    wait_for(lambda: bench.trained == [(2, 0.75)], "the note")


def test_of_several_newer_requests_only_the_newest_is_trained(bench: Bench) -> None:
    bench.training.ask(request(1))
    bench.wait_begun(1)
    for number in (2, 3, 4):
        bench.training.ask(request(number))
    bench.outcome.put(0.5)
    bench.wait_begun(4)
    bench.outcome.put(0.5)
    assert bench.answer().payload["round"] == 4
    assert bench.runs == 2


def test_a_round_with_a_lower_number_wins_too_if_it_is_asked_later(bench: Bench) -> None:
    bench.training.ask(request(9))
    bench.wait_begun(9)
    bench.training.ask(request(1))
    bench.outcome.put(0.5)
    bench.wait_begun(1)
    bench.outcome.put(0.5)
    assert bench.answer().payload["round"] == 1


def test_asked_again_for_what_is_being_trained_its_result_counts_again(bench: Bench) -> None:
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.training.ask(request(2))
    bench.training.ask(request(1))
    bench.outcome.put(0.5)
    assert bench.answer().payload["round"] == 1
    bench.wait_idle()
    assert bench.runs == 1


SENTENCES = {
    "no data": (NotEnoughData("there are 3 windows"), "there are 3 windows"),
    "ours": (BrambleError("the graph is not the one that was named"), "the graph is not the one that was named"),
    "memory": (MemoryError(), "out of memory"),
    "unforeseen": (RuntimeError("node 7 failed"), "RuntimeError: node 7 failed"),
    "endless": (BrambleError("x" * 2000), "x" * 500),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_what_cannot_be_trained_is_an_honest_no_with_a_sentence(bench: Bench, case: str) -> None:
    error, sentence = SENTENCES[case]
    bench.training.ask(request(2))
    bench.outcome.put(error)
    item = bench.answer()
    assert (item.event, item.payload) == ("training_failed", {"round": 2, "reason": sentence})


def test_one_who_said_no_and_is_asked_again_tries_again(bench: Bench) -> None:
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.outcome.put(NotEnoughData("nothing yet"))
    assert bench.answer().event == "training_failed"
    bench.wait_idle()
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.outcome.put(0.5)
    wait_for(lambda: bench.answer().event == "training_complete", "the result")


def test_nothing_is_said_of_a_failed_run_that_was_superseded(bench: Bench) -> None:
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.training.ask(request(2))
    bench.outcome.put(NotEnoughData("nothing yet"))
    bench.wait_begun(2)
    assert bench.outbox.answer() is None


def test_a_reset_voids_what_is_trained_and_what_is_asked(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.training.ask(request(2))
    bench.training.forget(bench.outbox.clear)
    bench.outcome.put(0.5)
    bench.wait_idle()
    assert bench.outbox.answer() is None
    assert "round 1 of small: the result is dropped: a reset came" in caplog.text
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.outcome.put(0.5)
    assert bench.answer().payload["round"] == 1


def test_the_request_of_a_voided_run_is_trained_anew_from_what_is_there_then(bench: Bench) -> None:
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.training.forget(lambda: None)
    bench.training.ask(request(1))
    bench.outcome.put(0.5)
    bench.wait_begun(1)
    bench.outcome.put(0.75)
    assert bench.answer().note["tested_until"] == 0.75


def test_a_round_that_is_over_is_neither_trained_nor_sent_and_others_are(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.training.ask(request(2, task="other"))
    bench.training.ask(request(3, task="third"))
    bench.training.over(1)
    bench.training.over(2)
    assert not bench.training.wanted
    bench.outcome.put(BrokenOff("broken off with 5 steps to go"))
    bench.wait_begun(3)
    assert bench.outbox.answer() is None
    assert not bench.training.failing
    bench.outcome.put(0.5)
    assert bench.answer().payload["round"] == 3
    bench.wait_idle()
    bench.training.over(2)
    assert bench.answer().payload["round"] == 3
    bench.training.over(3)
    assert bench.outbox.answer() is None
    assert bench.runs == 2


def test_what_came_of_a_round_that_is_over_is_dropped(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.training.over(1)
    bench.outcome.put(0.5)
    bench.wait_idle()
    assert bench.outbox.answer() is None
    assert "round 1 of small: the result is dropped: the round is over" in caplog.text
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.outcome.put(0.5)
    assert bench.answer().payload["round"] == 1, "a server that began anew may ask for it again"


def test_a_request_that_cannot_be_read_is_answered_too(bench: Bench) -> None:
    bench.training.fail(5, "the request cannot be read: layout: expected a list")
    assert bench.answer().payload == {"round": 5, "reason": "the request cannot be read: layout: expected a list"}


def test_it_says_whether_it_runs_and_whether_the_last_run_failed(bench: Bench) -> None:
    training = bench.training
    assert (training.running, training.failing) == (False, False)
    outcomes: list[BaseException | float] = [RuntimeError("odd"), NotEnoughData("too few"), RuntimeError("odd"), 1.0]
    for number, (outcome, failing) in enumerate(zip(outcomes, (True, False, True, False), strict=True), 1):
        training.ask(request(number))
        bench.wait_begun(number)
        assert training.running
        bench.outcome.put(outcome)
        bench.wait_idle()
        assert training.failing is failing


def test_stop_does_not_wait_for_a_run_longer_than_it_is_told_to(bench: Bench) -> None:
    bench.training.ask(request(1))
    bench.wait_begun(1)
    assert not bench.training.stop(0.01)
    bench.outcome.put(0.5)
    assert bench.training.stop(60)


def sometimes(failures: int, then: Callable[[], None]) -> Callable[..., None]:
    left = [failures]

    def call(*_: object) -> None:
        if left[0]:
            left[0] -= 1
            raise OSError("the disk is on fire")
        then()

    return call


def test_a_failure_after_training_is_logged_and_the_next_round_is_trained(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []
    bench.training._trained = sometimes(1, lambda: done.append(1))
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.outcome.put(0.5)
    wait_for(lambda: "the disk is on fire" in caplog.text, "the log")
    bench.training.ask(request(2))
    bench.wait_begun(2)
    bench.outcome.put(0.5)
    wait_for(lambda: done, "the second")


def test_a_run_that_ends_with_the_client_is_no_answer(bench: Bench) -> None:
    bench.training.ask(request(1))
    bench.wait_begun(1)
    assert not bench.training.stop(0.01)
    bench.outcome.put(BrambleError("its process was ended"))
    assert bench.training.stop(60)
    assert bench.outbox.answer() is None


def test_a_run_that_is_broken_off_for_a_newer_request_is_no_answer_and_no_failure(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.training.ask(request(1))
    bench.wait_begun(1)
    assert bench.training.wanted
    bench.training.ask(request(2))
    assert not bench.training.wanted
    bench.outcome.put(BrokenOff("broken off with 5 steps to go"))
    bench.wait_begun(2)
    assert bench.training.wanted
    assert bench.outbox.answer() is None
    assert not bench.training.failing
    assert "round 1 of small: broken off with 5 steps to go: nobody waits for it any more" in caplog.text
    bench.outcome.put(0.75)
    assert bench.answer().payload["round"] == 2


def test_a_request_that_comes_back_while_its_run_is_broken_off_is_trained_anew(bench: Bench) -> None:
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.training.ask(request(2))
    bench.training.ask(request(1))
    assert bench.training.wanted
    bench.outcome.put(BrokenOff("broken off, for a moment ago nobody wanted it"))
    bench.wait_begun(1)
    bench.outcome.put(0.5)
    assert bench.answer().payload["round"] == 1


def test_nobody_wants_a_run_after_a_reset_or_an_end(bench: Bench) -> None:
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.training.forget(lambda: None)
    assert not bench.training.wanted
    bench.outcome.put(BrokenOff("broken off"))
    bench.wait_idle()
    bench.training.ask(request(2))
    bench.wait_begun(2)
    bench.training.stop(0.0)
    assert not bench.training.wanted
