"""A server that takes clients of release 0.1 and of this one, side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bramble_protocol.features import FEATURES
from bramble_protocol.messages import ClientUpdate, Timing, TrainingComplete
from tests.server.pi import Pi, hello, update
from tests.server.process import LAYOUT, ServerProcess
from tests.waiting import wait_for

ASKED = {"round", "task", "graph", "layout", "encoding", "reply_encoding", "weights", "config"}
CONFIG = {"epochs", "batch_size", "learning_rate", "seed", "proximal_mu", "deadline_s"}
"""What a client of version 1 is sent, and refuses anything beyond."""


def test_both_versions_train_in_one_round_and_the_older_is_sent_its_own_fields_alone(
    server: ServerProcess, join: Callable[..., Pi]
) -> None:
    old, new = join("pi-old"), join("pi-new", auth=hello("pi-new", protocol=2, features=["anything"], instance="ab12"))
    shown = server.api.clients()
    assert (shown["pi-old"]["protocol"], shown["pi-new"]["protocol"]) == (1, 2)
    assert shown["pi-old"]["features"] == shown["pi-new"]["features"] == [], "those alone that both know"
    number = server.api.start()["round"]
    asked = old.next("client_update")
    assert (set(asked), set(asked["config"])) == (ASKED, CONFIG)
    server.api.generate(1)
    assert set(old.next("generate_data")) == {"cycle", "t", "step", "count"}
    for pi in (old, new):
        assert pi.call("training_complete", update(number)) == {"accepted": True}
    wait_for(lambda: server.api.status()["round"] == number, "the commit")
    server.api.reset()
    assert old.next("reset") == {}


def test_each_is_asked_in_what_it_knows_and_all_count_in_one_round(tmp_path: Path) -> None:
    known = {"pi-1": [], "pi-2": ["sections"], "pi-3": ["sections", "delta-float16", "tomorrow"]}
    expected = {"pi-1": ("float32", "float16"), "pi-2": ("sections", "float16"), "pi-3": ("sections", "delta-float16")}
    moved = np.linspace(0.1, 0.2, LAYOUT.size).astype(np.float32)
    with ServerProcess(tmp_path, "--reply-encoding", "delta-float16") as server:
        fleet = {name: Pi(server.url, auth=hello(name, protocol=2, features=features)) for name, features in known.items()}
        number = server.api.start()["round"]
        for name, pi in fleet.items():
            wire = pi.next("client_update")
            assert (wire["encoding"], wire["reply_encoding"]) == expected[name]
            asked = ClientUpdate.from_wire(wire)
            complete = TrainingComplete(number, LAYOUT, asked.reply_encoding, asked.weights + moved, 10, {}, Timing(1.0, 2.0, 3.0))
            assert pi.call("training_complete", complete.to_wire(asked)) == {"accepted": True}
        wait_for(lambda: server.api.status()["round"] == number, "the commit")
        assert [part["bytes"] for part in server.api.round(number)["clients"].values()] == [2 * LAYOUT.size] * 3
        raw = server.request("GET", "/model", {"Accept": "application/octet-stream"})[1]
        np.testing.assert_allclose(np.frombuffer(raw, "<f4"), np.arange(LAYOUT.size) + moved, rtol=0, atol=2**-9)
        latest = server.api.updates(weights=True)
        weights = {name: np.concatenate([np.ravel(tensor) for tensor in latest[name]["weights"].values()]) for name in fleet}
        errors = {name: float(np.abs(found - np.arange(LAYOUT.size) - moved).max()) for name, found in weights.items()}
        assert errors["pi-3"] < errors["pi-1"] / 4, "how far it moved comes through more exactly than where it is"
        for pi in fleet.values():
            pi.close()


def test_a_server_that_was_killed_knows_the_model_of_its_open_round_by_the_same_name(tmp_path: Path) -> None:
    """So an answer that says how far it moved is taken by the next one, and from the same base."""
    flags = ("--reply-encoding", "delta-float16", "--encoding", "float16", "--min-clients", "1", "--deadline", "1h")
    moved = np.linspace(1e-3, 2e-3, LAYOUT.size).astype(np.float32)
    now = hello("pi-1", protocol=2, features=list(FEATURES))
    with ServerProcess(tmp_path, *flags) as server, Pi(server.url, auth=now) as pi:
        number = server.api.start()["round"]
        first = ClientUpdate.from_wire(pi.next("client_update"))
        server.kill()
    with ServerProcess(tmp_path, *flags) as server, Pi(server.url, auth=now) as pi:
        again = ClientUpdate.from_wire(pi.next("client_update"))
        assert (again.round, again.model, again.reply_encoding) == (number, first.model, "delta-float16")
        complete = TrainingComplete(number, LAYOUT, "delta-float16", first.weights + moved, 10, {}, Timing(1.0, 2.0, 3.0))
        assert pi.call("training_complete", complete.to_wire(first)) == {"accepted": True}
        wait_for(lambda: server.api.status()["round"] == number, "the commit")
        raw = server.request("GET", "/model", {"Accept": "application/octet-stream"})[1]
        np.testing.assert_allclose(np.frombuffer(raw, "<f4"), np.arange(LAYOUT.size) + moved, rtol=0, atol=2e-6)


def test_an_answer_from_before_the_server_began_anew_says_nothing_of_its_open_round(server: ServerProcess, join: Callable[..., Pi]) -> None:
    pi, other = (join(name, auth=hello(name, protocol=2, features=list(FEATURES))) for name in ("pi-1", "pi-2"))
    number = server.api.start()["round"]
    asked = ClientUpdate.from_wire(pi.next("client_update"))
    complete = TrainingComplete(number, LAYOUT, "float32", asked.weights + 1, 10, {}, Timing(1.0, 2.0, 3.0))
    stale = {**complete.to_wire(asked), "model": "0123456789abcdef"}
    said = pi.call("training_complete", stale)
    assert said == {"accepted": False, "reason": f"round over: model 0123456789abcdef is not the one that round {number} began with"}
    assert set(server.api.status()["waiting_for"]) == {"pi-1", "pi-2"}, "it is waited for still"
    for one in (pi, other):
        assert one.call("training_complete", complete.to_wire(asked)) == {"accepted": True}
    wait_for(lambda: server.api.status()["round"] == number, "the commit")
    assert pi.call("training_complete", complete.to_wire(asked)) == {"accepted": True}, "a repeat, which needs no model any more"
    assert pi.call("training_complete", {**complete.to_wire(asked), "round": number + 9})["reason"] == f"unknown round {number + 9}"
