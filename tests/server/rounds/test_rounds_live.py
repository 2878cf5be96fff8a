"""Rounds over real sockets: who is asked, what counts, how they end."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bramble_protocol import codecs
from bramble_protocol.messages import ClientUpdate
from tests.server.pi import TIMING, Pi, update
from tests.server.process import LAYOUT, ServerProcess
from tests.waiting import wait_for

Join = Callable[..., Pi]


def weights_of(server: ServerProcess) -> list[float]:
    status, data, _ = server.request("GET", "/model", {"Accept": "application/octet-stream"})
    assert status == 200
    return np.frombuffer(data, "<f4").tolist()  # type: ignore[no-any-return]


def test_the_new_model_is_the_mean_weighted_by_samples(server: ServerProcess, join: Join) -> None:
    first, second = join("pi-1"), join("pi-2")
    answer = server.api.start()
    assert answer["clients"] == ["pi-1", "pi-2"]
    assert first.train(1.0, samples=30) == {"accepted": True}
    status = server.api.status()
    assert (status["running"], status["waiting_for"]) == (answer["round"], ["pi-2"])
    assert {name for name, client in server.api.clients().items() if client["training"]} == {"pi-2"}
    assert server.api.round(answer["round"])["updates"] == 1
    assert second.train(5.0, samples=10) == {"accepted": True}
    assert server.ended(answer["round"])["state"] == "committed"
    assert weights_of(server) == [2.0] * LAYOUT.size


def test_what_a_client_is_asked_is_the_contract_and_the_current_model(server: ServerProcess, join: Join) -> None:
    pi = join()
    before = server.api.model()
    number = server.api.start()["round"]
    asked = ClientUpdate.from_wire(pi.next("client_update"))
    assert (asked.round, asked.task, asked.graph) == (number, "small", before["graph"])
    assert asked.layout == LAYOUT
    assert asked.weights.tolist() == weights_of(server)
    assert (asked.encoding, asked.reply_encoding, asked.config.deadline_s) == ("float32", "float32", 3600.0)
    assert pi.call("training_complete", update(number, 3.0)) == {"accepted": True}
    assert server.ended(number)["state"] == "committed"
    assert weights_of(server) == [3.0] * LAYOUT.size
    assert server.api.model()["round"] == number


def test_a_round_record_tells_each_clients_part(server: ServerProcess, join: Join) -> None:
    pi = join()
    number = server.api.start()["round"]
    metrics = {"loss_before": 4.0, "loss_after": 3.0, "test_samples": 7, "test_error": 2.5, "test_baseline": 5.0}
    pi.train(2.0, metrics=metrics, samples=12)
    record = server.ended(number)
    assert metrics.items() <= record["metrics"].items()
    assert (record["selected"], record["updates"], record["reason"]) == (1, 1, None)
    part = record["clients"]["pi-1"]
    assert part["sent"] <= part["replied"] <= record["ended"]
    assert {name: part[name] for name in TIMING} == TIMING
    assert (part["bytes"], part["samples"], part["loss_before"], part["loss_after"]) == (4 * LAYOUT.size, 12, 4.0, 3.0)
    assert (part["test_error"], part["test_baseline"], part["test_samples"]) == (2.5, 5.0, 7)
    assert part["distance"] == pytest.approx(0.0, abs=1e-6)
    assert part["cosine"] == pytest.approx(1.0)
    latest = server.api.updates(weights=True)["pi-1"]
    assert (latest["round"], latest["samples"], latest["metrics"]) == (number, 12, metrics)
    assert latest["weights"] == {"dense/kernel": [[2.0, 2.0], [2.0, 2.0]], "dense/bias": [2.0, 2.0]}
    assert latest["update_norm"] == part["update_norm"]


def test_a_repeat_is_answered_as_the_first_was_and_counted_once(server: ServerProcess, join: Join) -> None:
    pi, other = join("pi-1"), join("pi-2")
    number = server.api.start()["round"]
    assert pi.call("training_complete", update(number, 1.0)) == {"accepted": True}
    assert pi.call("training_complete", update(number, 99.0)) == {"accepted": True}
    assert other.call("training_complete", update(number, 3.0)) == {"accepted": True}
    assert server.ended(number)["updates"] == 2
    assert weights_of(server) == [2.0] * LAYOUT.size
    assert pi.call("training_complete", update(number, 99.0)) == {"accepted": True}
    assert weights_of(server) == [2.0] * LAYOUT.size


def test_a_client_may_say_no_and_the_round_goes_on_without_it(server: ServerProcess, join: Join) -> None:
    pi, other = join("pi-1"), join("pi-2")
    number = server.api.start()["round"]
    assert pi.call("training_failed", {"round": number, "reason": "no data\nyet"}) == {"accepted": True}
    assert other.train(7.0) == {"accepted": True}
    record = server.ended(number)
    assert (record["state"], record["updates"]) == ("committed", 1)
    assert record["clients"]["pi-1"]["reason"] == "no data?yet"
    assert record["clients"]["pi-2"]["reason"] is None
    assert server.logged(f"pi-1: round {number}: goes on without it: no data?yet") == 1


def test_a_round_in_which_everybody_says_no_is_abandoned_and_the_model_stays(server: ServerProcess, join: Join) -> None:
    pi = join()
    before = weights_of(server)
    number = server.api.start()["round"]
    pi.call("training_failed", {"round": number, "reason": "busy"})
    record = server.ended(number)
    assert (record["state"], record["updates"]) == ("abandoned", 0)
    assert "0 of 1 clients delivered" in record["reason"]
    assert weights_of(server) == before


def test_a_client_whose_connection_closes_leaves_the_round_at_once(server: ServerProcess, join: Join) -> None:
    gone, stays = join("pi-1"), join("pi-2")
    number = server.api.start()["round"]
    gone.next("client_update")
    stays.train(4.0)
    gone.close()
    record = wait_for(lambda: (r := server.api.round(number))["state"] == "committed" and r, "the round to go on")
    assert record["clients"]["pi-1"]["reason"] == "disconnected", "not at the deadline, which is far"


def test_a_client_that_comes_back_while_its_round_is_open_is_asked_again(server: ServerProcess, join: Join) -> None:
    first, stays = join("pi-1"), join("pi-2")
    number = server.api.start()["round"]
    first.next("client_update")
    first.close()
    wait_for(lambda: server.api.status()["waiting_for"] == ["pi-2"], "the drop")
    again = join("pi-1")
    assert again.next("client_update")["round"] == number
    assert again.call("training_complete", update(number, 1.0)) == {"accepted": True}
    stays.train(3.0)
    assert server.ended(number)["updates"] == 2
    assert weights_of(server) == [2.0] * LAYOUT.size


def test_a_dropped_client_may_deliver_after_all_without_training_twice(server: ServerProcess, join: Join) -> None:
    first, _ = join("pi-1"), join("pi-2")
    number = server.api.start()["round"]
    first.next("client_update")
    first.close()
    wait_for(lambda: server.api.status()["waiting_for"] == ["pi-2"], "the drop")
    assert join("pi-1").call("training_complete", update(number, 1.0)) == {"accepted": True}
    assert server.api.round(number)["clients"]["pi-1"]["reason"] is None


def test_a_client_that_joins_during_a_round_waits_for_the_next(server: ServerProcess, join: Join) -> None:
    pi = join("pi-1")
    number = server.api.start()["round"]
    late = join("pi-2")
    answer = late.call("training_complete", update(number))
    assert answer == {"accepted": False, "reason": f"not asked to take part in round {number}"}
    pi.train()
    server.ended(number)
    assert server.api.start() == {"round": number + 1, "clients": ["pi-1", "pi-2"]}
    assert late.next("client_update")["round"] == number + 1


def test_reset_returns_to_the_initial_model_forgets_and_tells_everybody(server: ServerProcess, join: Join) -> None:
    pi, absent = join("pi-1"), join("pi-2")
    absent.close()
    wait_for(lambda: server.api.status()["clients"] == 1, "pi-2 to leave")
    number = server.api.start()["round"]
    pi.train(9.0)
    server.ended(number)
    running = server.api.start()["round"]
    assert server.api.reset() == {"clients": 1}
    assert pi.next("reset") == {}
    assert weights_of(server) == list(range(LAYOUT.size))
    assert (server.api.model()["round"], server.api.rounds(), server.api.updates()) == (0, [], {})
    assert pi.call("training_complete", update(running)) == {"accepted": False, "reason": "round over"}
    assert join("pi-2").next("reset") == {}, "a client that was away hears of it when it is back"
    assert server.api.start()["round"] == running + 1, "a number that was on the wire is never used again"


def test_float16_may_be_asked_for_in_both_directions(tmp_path: Path) -> None:
    flags = ("--min-clients", "1", "--encoding", "float16", "--reply-encoding", "float16", "--epochs", "3", "--learning-rate", "0.5")
    with ServerProcess(tmp_path, *flags) as server, Pi(server.url) as pi:
        server.api.start()
        asked = ClientUpdate.from_wire(pi.next("client_update"))
        assert (asked.encoding, asked.reply_encoding) == ("float16", "float16")
        assert asked.weights.tolist() == list(range(LAYOUT.size))
        assert (asked.config.epochs, asked.config.learning_rate, asked.config.batch_size) == (3, 0.5, 32)
        halves = np.full(LAYOUT.size, 0.5, "<f2").tobytes()
        assert pi.call("training_complete", update(asked.round, encoding="float16", weights=halves)) == {"accepted": True}
        assert server.ended(asked.round)["clients"]["pi-1"]["bytes"] == 2 * LAYOUT.size
        assert weights_of(server) == [0.5] * LAYOUT.size


@pytest.mark.load
def test_the_deadline_ends_a_round_with_those_who_delivered(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--deadline", "2") as server, Pi(server.url, "pi-1") as pi, Pi(server.url, "pi-2"):
        number = server.api.start()["round"]
        pi.train(6.0)
        record = server.ended(number)
        assert (record["state"], record["updates"]) == ("committed", 1)
        assert record["clients"]["pi-2"]["reason"] == "no answer before the deadline"
        assert record["ended"] - record["started"] >= 2
        assert weights_of(server) == [6.0] * LAYOUT.size
        late = pi.call("training_complete", update(number + 1))
        assert late == {"accepted": False, "reason": f"unknown round {number + 1}"}


@pytest.mark.load
def test_fewer_updates_than_min_updates_abandon_the_round(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path, "--min-updates", "2", "--deadline", "2") as server,
        Pi(server.url, "pi-1") as pi,
        Pi(server.url, "pi-2"),
    ):
        number = server.api.start()["round"]
        pi.train(6.0)
        record = server.ended(number)
        assert (record["state"], record["updates"]) == ("abandoned", 1)
        assert record["reason"] == "1 of 2 clients delivered, a round needs 2"
        assert weights_of(server) == list(range(LAYOUT.size))
        assert server.api.status()["round"] == 0


def test_weights_that_no_training_makes_are_taken_and_do_not_count(server: ServerProcess, join: Join) -> None:
    server.api.reset()
    first, second = join("pi-1"), join("pi-2")
    before = server.api.model()["weights"]
    top = float(np.nextafter(np.float32(codecs.LARGEST), np.float32(0)))
    for value in (top, -9e17):
        number = server.api.start()["round"]
        assert first.train(value, samples=10_000_000, metrics={"loss_before": 1e12, "loss_after": 1e12}) == {"accepted": True}
        assert second.train(value, samples=10_000_000) == {"accepted": True}
        record = server.ended(number)
        assert record["state"] == "abandoned"
        assert record["reason"].startswith("0 updates count, a round needs 1; left out pi-1: its update is 2.")
        assert record["clients"]["pi-2"]["reason"].startswith("left out: its update is 2.")
    assert server.api.model()["weights"] == before


def test_one_that_is_far_from_the_others_is_left_out_and_named_everywhere(server: ServerProcess, join: Join) -> None:
    server.api.reset()
    pis = {name: join(name) for name in ("pi-1", "pi-2", "pi-3", "pi-4")}
    number = server.api.start()["round"]
    for name, pi in pis.items():
        assert pi.train(0.25 if name != "pi-4" else 60.0, samples=10 if name != "pi-4" else 10_000_000) == {"accepted": True}
    record = server.ended(number)
    assert (record["state"], record["updates"]) == ("committed", 3)
    assert weights_of(server) == pytest.approx([0.25] * LAYOUT.size)
    sentence = record["reason"].removeprefix("left out pi-4: ")
    assert re.fullmatch(r"its update is 14\d long, \d\d times the cohort's median", sentence)
    assert record["clients"]["pi-4"]["reason"] == f"left out: {sentence}"
    assert server.logged(f"round {number}: left out pi-4: {sentence}") == 1
    _, metrics, _ = server.request("GET", "/metrics")
    assert b'bramble_updates_left_out_total{client="pi-4",task="small"} 1.0' in metrics
    # a repeat, whose acknowledgement got lost, is answered as the first was
    assert pis["pi-4"].call("training_complete", update(number, 60.0)) == {"accepted": True}
    number = server.api.start()["round"]
    for pi in pis.values():
        pi.train(0.5)
    assert server.ended(number)["updates"] == 4
    assert server.logged(f"round {number}: pi-4 counts again") == 1


def test_a_round_whose_loss_explodes_is_refused_by_name_and_the_model_stays(server: ServerProcess, join: Join) -> None:
    server.api.reset()
    first, second = join("pi-1"), join("pi-2")
    for value in (0.1, 0.2):
        number = server.api.start()["round"]
        first.train(value, metrics={"loss_before": 0.8, "loss_after": 0.75})
        second.train(value, metrics={"loss_before": 0.8, "loss_after": 0.75})
        assert server.ended(number)["state"] == "committed"
    number = server.api.start()["round"]
    first.train(0.3, metrics={"loss_before": 0.8, "loss_after": 0.7})
    second.train(0.3, metrics={"loss_before": 110.0, "loss_after": 108.5})
    record = server.ended(number)
    assert record["state"] == "abandoned"
    assert record["reason"].startswith("the loss would be 54.6, 73 times the last rounds', because of pi-2: check the sensors there")
    assert weights_of(server) == pytest.approx([0.2] * LAYOUT.size)
