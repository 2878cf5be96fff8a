"""What no client should send, over a real socket: each is refused by name, logged once with the client's id, changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.server.pi import Pi, readings, update
from tests.server.process import LAYOUT, ServerProcess
from tests.waiting import wait_for

ONE = np.ones(LAYOUT.size, "<f4")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server"), "--min-clients", "1", "--deadline", "1h") as process:
        yield process


@pytest.fixture
def round_of_two(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[tuple[Pi, Pi, int]]:
    """A bad client, a good one, and the number of the round that they are in; the good one must come through it."""
    name = f"bad-{abs(hash(request.node.name)) % 10**9}"
    with Pi(server.url, name) as bad, Pi(server.url, f"good-{name}") as good:
        bad.name = name  # type: ignore[attr-defined]
        number = server.api.start()["round"]
        yield bad, good, number
        assert good.train(1.0) == {"accepted": True}
        if server.api.status()["waiting_for"] == [name]:
            # an update for another round leaves its part in this one open
            assert bad.call("training_complete", update(number, 3.0)) == {"accepted": True}
        record = server.ended(number)
        assert record["state"] == "committed"
    server.empty()


def nan_at(index: int, value: float) -> bytes:
    weights = ONE.copy()
    weights[index] = value
    return weights.tobytes()


def other_layout(*shapes: tuple[str, list[int]]) -> list[dict[str, Any]]:
    return [{"name": name, "shape": shape} for name, shape in shapes]


def changed(**other: Any) -> Callable[[int], Any]:
    return lambda number: update(number, **other)


def without(field: str) -> Callable[[int], Any]:
    return lambda number: {name: value for name, value in update(number).items() if name != field}


BAD_UPDATES: dict[str, tuple[Callable[[int], Any], str]] = {
    "too few bytes": (changed(weights=ONE.tobytes()[:-4]), "weights: 20 bytes do not fit the layout, which takes 24 as float32"),
    "too many bytes": (changed(weights=ONE.tobytes() * 2), "weights: 48 bytes do not fit the layout, which takes 24 as float32"),
    "far too many bytes": (changed(weights=bytes(4 << 20)), "weights: 4194304 bytes do not fit the layout"),
    "a byte too many": (changed(weights=ONE.tobytes() + b"\0"), "weights: 25 bytes do not fit the layout"),
    "no bytes": (changed(weights=b""), "weights: 0 bytes do not fit the layout"),
    "numbers as JSON": (changed(weights=[1.0] * LAYOUT.size), "weights: expected bytes, got list"),
    "NaN": (changed(weights=nan_at(3, np.nan)), "weights: value 3 is not finite"),
    "infinity": (changed(weights=nan_at(5, -np.inf)), "weights: value 5 is not finite"),
    "weights of a training that diverged": (changed(weights=nan_at(2, 3e18)), "weights: value 2 is 3e+18, beyond 1e+18"),
    "another model": (changed(layout=other_layout(("conv", [3, 2]))), "layout: 6 parameters in 1 tensors are not this task's model"),
    "a shape transposed": (
        changed(layout=other_layout(("dense/kernel", [4, 1]), ("dense/bias", [2]))),
        "layout: 6 parameters in 2 tensors are not this task's model",
    ),
    "an absurd shape": (changed(layout=other_layout(("w", [2**40]))), "layout: 1099511627776 parameters are more than"),
    "a layout that is none": (changed(layout="dense"), "layout: expected a list"),
    "an unknown encoding": (changed(encoding="pickle"), "encoding: 'pickle' is not one of"),
    "an encoding that is none": (changed(encoding={"a": 1}), "encoding: {'a': 1} is not one of"),
    "no samples": (changed(samples=0), "samples: expected an integer from 1"),
    "negative samples": (changed(samples=-5), "samples: expected an integer from 1"),
    "absurdly many samples": (changed(samples=10**12), "samples: expected an integer from 1"),
    "half a sample": (changed(samples=1.5), "samples: expected an integer"),
    "samples that are a truth": (changed(samples=True), "samples: expected an integer"),
    "a metric that is not finite": (changed(metrics={"loss_after": float("nan")}), "metrics.loss_after: expected a finite number"),
    "a metric that is no number": (changed(metrics={"loss_after": "low"}), "metrics.loss_after: expected a finite number"),
    "a metric beyond measure": (changed(metrics={"loss_after": 1e300}), "metrics.loss_after: 1e+300 is not a measurement"),
    "a negative test count": (changed(metrics={"test_samples": -1}), "metrics.test_samples: expected a number from 0"),
    "an absurd test count": (changed(metrics={"test_samples": 1e11}), "metrics.test_samples: expected a number from 0"),
    "a thousand metrics": (changed(metrics={f"m{i}": 1.0 for i in range(1000)}), "metrics: expected an object of at most 64 numbers"),
    "timing that is none": (changed(timing="yesterday"), "timing: expected an object, got str"),
    "a missing field": (without("samples"), "training_complete: missing samples"),
    "an unknown field": (changed(bonus=1), "training_complete: unknown field bonus"),
    "a text": (lambda number: "hello", "training_complete: expected an object, got str"),
    "a list": (lambda number: [1, 2], "training_complete: expected an object, got list"),
    "nothing": (lambda number: None, "training_complete: expected an object, got NoneType"),
    "bare bytes": (lambda number: b"\x00\x01", "training_complete: expected an object, got bytes"),
    "a round yet to come": (lambda number: update(number + 1), "unknown round"),
    "round zero": (lambda number: update(0), "round: expected an integer from 1"),
    "a round that is a text": (lambda number: update("1"), "round: expected an integer from 1"),  # type: ignore[arg-type]
    "a round past 64 bits": (lambda number: update(2**70), "round: expected an integer from 1"),
    "a round long over": (lambda number: update(number - 1) if number > 1 else update(0), "round"),
}


@pytest.mark.parametrize("case", BAD_UPDATES)
def test_a_bad_update_is_refused_by_name_and_changes_nothing(case: str, server: ServerProcess, round_of_two: tuple[Pi, Pi, int]) -> None:
    build, reason = BAD_UPDATES[case]
    bad, _, number = round_of_two
    name: str = bad.name  # type: ignore[attr-defined]
    answer = bad.call("training_complete", build(number))
    assert answer["accepted"] is False
    assert reason in answer["reason"]
    if case not in OTHER_ROUNDS:
        wait_for(lambda: name not in server.api.status()["waiting_for"], "the round to go on without it")
    status = server.api.status()
    assert (status["running"], name in status["waiting_for"]) == (number, case in OTHER_ROUNDS)
    dropped = server.api.round(number)["clients"][name]["reason"]
    assert dropped == (None if case in OTHER_ROUNDS else f"its update was refused: {answer['reason']}")
    assert server.logged(f"{bad.name}: training_complete refused: {answer['reason']}") == 1  # type: ignore[attr-defined]


def test_one_whose_update_was_refused_may_still_deliver_while_the_round_is_open(round_of_two: tuple[Pi, Pi, int]) -> None:
    bad, _, number = round_of_two
    assert bad.call("training_complete", update(number, weights=b""))["accepted"] is False
    assert bad.call("training_complete", update(number, 3.0)) == {"accepted": True}


def test_a_round_does_not_wait_for_one_whose_update_was_refused(server: ServerProcess) -> None:
    with Pi(server.url, "only") as pi:
        number = server.api.start()["round"]
        pi.next("client_update")
        assert pi.call("training_complete", update(number, samples=0))["accepted"] is False
        record = server.ended(number)
        assert (record["state"], record["reason"]) == ("abandoned", "0 of 1 clients delivered, a round needs 1")
    server.empty()


OTHER_ROUNDS = ("a round yet to come", "a round long over")
BAD_READINGS: dict[str, tuple[Any, str]] = {
    "not an object": ([1], "data_update: expected an object, got list"),
    "times that go back": (readings(t=(2.0, 1.0)), "t: expected times that increase"),
    "a time that is none": (readings(t=("now",)), "t[0]: expected a finite number"),  # type: ignore[arg-type]
    "no times": ({"cycle": None, "t": [], "channels": {}}, "t: expected a list of 1 to 10000 times"),
    "too many times": (readings(t=tuple(float(i) for i in range(10_001))), "t: expected a list of 1 to 10000 times"),
    "columns of another length": (
        {"cycle": None, "t": [1.0], "channels": {"temperature": {"unit": "°C", "value": [1.0, 2.0]}}},
        "channels.temperature.value: expected 1 values",
    ),
    "a reading that is no number": (
        {"cycle": None, "t": [1.0], "channels": {"temperature": {"unit": "°C", "value": ["warm"]}}},
        "channels.temperature[0]: expected a finite number",
    ),
    "a channel with an odd name": ({"cycle": None, "t": [1.0], "channels": {"../etc": {"unit": "", "value": [1.0]}}}, "channel: '../etc'"),
    "a channel that was not offered": (
        {"cycle": None, "t": [1.0], "channels": {"salary": {"unit": "EUR", "value": [1.0]}}},
        "channels.salary: not a channel that bad-",
    ),
    "cycle zero": (readings(cycle=0), "cycle: expected an integer from 1"),
    "a cycle that never was": (readings(cycle=77), "cycle 77 has not been started"),
}


@pytest.mark.parametrize("case", BAD_READINGS)
def test_bad_readings_are_refused_by_name_and_none_is_stored(case: str, server: ServerProcess, round_of_two: tuple[Pi, Pi, int]) -> None:
    payload, reason = BAD_READINGS[case]
    bad, _, _ = round_of_two
    answer = bad.call("data_update", payload)
    assert answer["accepted"] == 0
    assert answer["accepted"] is not False
    assert reason in answer["reason"]
    assert server.api.readings() == {}
    assert server.logged(f"{bad.name}: data_update refused: {answer['reason']}") == 1  # type: ignore[attr-defined]


BAD_EVENTS: dict[str, tuple[tuple[Any, ...], str]] = {
    "an unknown event": (("train_me", {}), "unknown event 'train_me'"),
    "a server's event": (("client_update", {"round": 1}), "unknown event 'client_update'"),
    "a faked disconnect": (("disconnect",), "unknown event 'disconnect'"),
    "a second handshake as an event": (("connect", {"protocol": 1, "client_id": "other"}), "unknown event 'connect'"),
    "an event with control characters": (("a\nb\x1b[2J", {}), "unknown event 'a?b?[2J'"),
    "no argument": (("training_complete",), "training_complete: expected one object, got 0 arguments"),
    "two arguments": (("training_failed", {}, {}), "training_failed: expected one object, got 2 arguments"),
    "a failure without a reason": (("training_failed", {"round": 1}), "training_failed: missing reason"),
    "a failure of a round to come": (("training_failed", {"round": 10**6, "reason": "no"}), "unknown round 1000000"),
}


@pytest.mark.parametrize("case", BAD_EVENTS)
def test_a_bad_event_is_refused_by_name_and_the_client_stays(case: str, server: ServerProcess, round_of_two: tuple[Pi, Pi, int]) -> None:
    event, reason = BAD_EVENTS[case]
    bad, _, number = round_of_two
    answer = bad.call(*event)
    assert answer["accepted"] is False
    assert reason in answer["reason"]
    assert server.api.clients()[bad.name]["connected"]  # type: ignore[attr-defined]
    assert server.api.status()["running"] == number
    assert server.logged(f"{bad.name}: {'event' if 'unknown event' in reason else event[0]} refused: {reason}") >= 1  # type: ignore[attr-defined]


def test_a_client_that_was_not_asked_is_refused(server: ServerProcess, round_of_two: tuple[Pi, Pi, int]) -> None:
    _, _, number = round_of_two
    with Pi(server.url, "stranger") as stranger:
        answer = stranger.call("training_complete", update(number))
        assert answer == {"accepted": False, "reason": f"not asked to take part in round {number}"}
        answer = stranger.call("training_failed", {"round": number, "reason": "busy"})
        assert answer == {"accepted": False, "reason": f"not asked to take part in round {number}"}
    assert server.logged(f"stranger: training_complete refused: not asked to take part in round {number}") == 1


def test_a_second_answer_is_answered_as_the_first_and_not_counted(server: ServerProcess, round_of_two: tuple[Pi, Pi, int]) -> None:
    bad, _, number = round_of_two
    assert bad.call("training_complete", update(number, 3.0)) == {"accepted": True}
    assert bad.call("training_complete", update(number, 500.0)) == {"accepted": True}
    assert server.api.round(number)["updates"] == 1
    answer = bad.call("training_failed", {"round": number, "reason": "changed my mind"})
    assert answer == {"accepted": True}
    assert server.api.round(number)["clients"][bad.name]["reason"] is None  # type: ignore[attr-defined]


def test_a_client_that_complains_without_end_does_not_fill_the_log(server: ServerProcess, round_of_two: tuple[Pi, Pi, int]) -> None:
    bad, _, number = round_of_two
    for count in range(300):
        assert bad.call("training_complete", update(number, samples=-count))["accepted"] is False
    mine = [line for line in server.log().splitlines() if f"{bad.name}: training_complete refused" in line]  # type: ignore[attr-defined]
    assert 1 <= len(mine) <= 20


def test_refusals_are_counted_by_kind_for_prometheus(server: ServerProcess, round_of_two: tuple[Pi, Pi, int]) -> None:
    def count(answer: str) -> float:
        lines = server.get("/metrics").decode().splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(f'bramble_updates_total{{answer="{answer}"')))

    bad, _, number = round_of_two
    before = count("invalid"), count("unknown round"), count("accepted")
    bad.call("training_complete", update(number, samples=0))
    bad.call("training_complete", update(number + 5))
    bad.call("training_complete", update(number))
    assert (count("invalid"), count("unknown round"), count("accepted")) == tuple(value + 1 for value in before)
