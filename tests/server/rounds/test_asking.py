"""What a round's clients are asked is encoded and hashed once for all who read it alike, however differently each is to train."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bramble_protocol.features import FEATURES
from bramble_protocol.layout import Weights
from bramble_protocol.messages import ClientUpdate, Control, Extras, Handshake, TrainConfig, training
from bramble_server.learning.strategies import Context
from bramble_server.learning.strategies.fedavg import FedAvg
from bramble_server.rounds.schedule import PAUSE
from bramble_server.transport.emitter import Emitter
from tests.server.office import CHANNELS, Office, Threads
from tests.server.process import LAYOUT
from tests.server.transport.test_handlers import Wire

CLIENTS = 20
COMMON = np.ones(LAYOUT.size, np.float32)


class Counted:
    """A way of making something of weights: how often it was taken, and how many bytes came of it."""

    def __init__(self, make: Any) -> None:
        self.make, self.calls, self.bytes = make, 0, 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        made = self.make(*arguments, **options)
        self.calls += 1
        self.bytes += len(made) if isinstance(made, bytes) else 0
        return made


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted(training._attachment)
    monkeypatch.setattr(training, "_attachment", counted)
    return counted


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted(hashlib.sha256)
    monkeypatch.setattr(training, "hashlib", SimpleNamespace(sha256=counted))
    return counted


def each_in_its_own_way(self: FedAvg, context: Context, clients: Sequence[str]) -> dict[str, TrainConfig]:
    return {client: replace(context.config, epochs=index + 1) for index, client in enumerate(clients)}


def each_since_another_round(self: FedAvg, context: Context, clients: Sequence[str]) -> Mapping[str, Extras]:
    return {client: Extras(steps=True, control=Control(index, None, COMMON)) for index, client in enumerate(clients)}


def ask(folder: Path, *features: tuple[str, ...]) -> list[tuple[dict[str, Any], list[str]]]:
    """Open a round for so many clients, of these features in turn; return what each is asked."""
    wire = Wire()
    office = Office(folder, downlink=lambda registry: Emitter(wire, registry, Threads().offload))
    for index in range(CLIENTS):
        knows = features[index % len(features)]
        hello = Handshake(2 if knows else 1, f"pi-{index:02}", channels=CHANNELS, features=knows)
        office.registry.join(hello, f"sid {index}", "127.0.0.1")
        office.coordinator.joined(hello.client_id)
    office.coordinator.start_round()
    office.drain()
    asked = [(payload, to) for event, payload, to in wire.emitted if event == "client_update"]
    office.close()
    return asked


def test_twenty_clients_that_each_train_in_their_own_way_get_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoded: Counted, hashed: Counted
) -> None:
    monkeypatch.setattr(FedAvg, "plan", each_in_its_own_way)
    asked = ask(tmp_path, ("sections",), ())
    assert sorted(payload["config"]["epochs"] for payload, _ in asked) == [*range(1, CLIENTS + 1)]
    assert [len(to) for _, to in asked] == [1] * CLIENTS
    forms = {id(payload["weights"]): len(payload["weights"]) for payload, _ in asked}
    assert len(forms) == 2, "one for those that read sections, and one for those of the first version"
    assert (encoded.calls, encoded.bytes, hashed.calls) == (2, sum(forms.values()), 1)
    assert encoded.bytes < 2 * LAYOUT.size * 4 + 200, "each is the model, and a table of its sections"


def test_a_vector_that_goes_with_the_model_is_encoded_once_too_whatever_else_each_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoded: Counted, hashed: Counted
) -> None:
    monkeypatch.setattr(FedAvg, "extras", each_since_another_round)
    monkeypatch.setattr(FedAvg, "needs", ("steps", "control"))
    asked = ask(tmp_path, ("sections", "steps", "control"))
    assert sorted(payload["control"]["since"] for payload, _ in asked) == [*range(CLIENTS)]
    assert len({id(payload["weights"]) for payload, _ in asked}) == 1
    assert (encoded.calls, hashed.calls) == (1, 1)


def test_a_request_is_written_once_for_all_who_are_asked_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a strategy comes by it: what it makes anew for each client may say the same."""

    def in_two_ways(self: FedAvg, context: Context, clients: Sequence[str]) -> dict[str, TrainConfig]:
        return {client: replace(context.config, epochs=1 + index % 2) for index, client in enumerate(clients)}

    def made_for_each(self: FedAvg, context: Context, clients: Sequence[str]) -> Mapping[str, Extras]:
        return {client: Extras(steps=True, control=Control(1, None, COMMON)) for client in clients}

    written: list[training.ClientUpdate] = []
    to_wire = training.ClientUpdate.to_wire
    monkeypatch.setattr(training.ClientUpdate, "to_wire", lambda self, features=(): (written.append(self), to_wire(self, features))[1])
    monkeypatch.setattr(FedAvg, "plan", in_two_ways)
    monkeypatch.setattr(FedAvg, "extras", made_for_each)
    monkeypatch.setattr(FedAvg, "needs", ("steps", "control"))
    asked = ask(tmp_path, ("sections", "steps", "control"))
    assert [len(to) for _, to in asked] == [CLIENTS // 2] * 2
    assert len(written) == 2


def test_what_differs_in_one_thing_is_not_the_same() -> None:
    another = COMMON.copy()
    asked = [
        Extras(steps, momentum, correction, control)
        for steps in (False, True)
        for momentum in (0.0, 0.5)
        for correction in (None, COMMON, another)
        for control in (None, Control(0), Control(1), Control(1, 0.5), Control(1, None, COMMON), Control(1, None, another))
    ]
    assert len({each.kind for each in asked}) == len(asked)


def test_another_model_is_never_taken_for_the_one_before() -> None:
    def asked(weights: Weights) -> training.ClientUpdate:
        return training.ClientUpdate(1, "small", "0" * 64, LAYOUT, "float32", "float32", weights, TrainConfig())

    zeros, ones = np.zeros(LAYOUT.size, np.float32), np.ones(LAYOUT.size, np.float32)
    first = asked(zeros)
    assert first.to_wire()["weights"] == zeros.tobytes()
    second = replace(first, weights=ones, config=TrainConfig(epochs=2))
    assert second.to_wire()["weights"] == ones.tobytes()
    assert second.digest == asked(ones).digest != first.digest
    assert replace(first, encoding="float16").to_wire()["weights"] == zeros.astype("<f2").tobytes()
    assert replace(first, config=TrainConfig(epochs=2)).packed is first.packed


def test_it_is_encoded_before_the_writer_comes_to_send_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models too: a round's opening goes to a thread as it is, and what is sent afterwards takes the loop no time."""
    hops: list[str] = []
    encoded_in: list[bool] = []
    beside, make = Threads.offload, training._attachment

    def offload(self: Threads, work: Any, *arguments: Any) -> Any:
        hops.append(work.__name__)
        try:
            return beside(self, work, *arguments)
        finally:
            hops.pop()

    def note(*arguments: Any, **options: Any) -> bytes:
        encoded_in.append("begin" in hops)
        return make(*arguments, **options)

    monkeypatch.setattr(Threads, "offload", offload)
    monkeypatch.setattr(training, "_attachment", note)
    assert len(ask(tmp_path, ("sections",), ())) == 2
    assert encoded_in == [True, True]


def test_who_keeps_what_it_did_not_send_is_told_which_of_its_answers_came_to_nothing(tmp_path: Path) -> None:
    office = Office(tmp_path, codec="topk", min_updates=2, min_clients=2)
    try:
        office.join("a", "b")
        first = office.coordinator.start_round().round
        office.deliver("a", first)
        office.coordinator.reset("small")  # what it forgets is no round that came to nothing
        second = office.coordinator.start_round().round
        office.deliver("a", second)
        office.refuse("b", second)
        assert office.record(second)["state"] == "abandoned"
        office.committed("a", "b")
        office.coordinator.start_round()
        asked = office.transport.asked["a"]
        assert asked.abandoned == (second,)
        assert office.transport.asked["b"].abandoned == (), "no answer of it was taken"
        assert ClientUpdate.from_wire(asked.to_wire(FEATURES)).abandoned == (second,)
        assert "abandoned" not in asked.to_wire([name for name in FEATURES if name != "topk"])
        assert "abandoned" not in asked.to_wire()
    finally:
        office.close()


def test_an_answer_that_an_asynchronous_round_lost_is_told_by_the_round_in_which_it_was_asked_for(tmp_path: Path) -> None:
    office = Office(tmp_path, codec="topk", discipline="asynchronous", buffer=2, min_updates=2, min_clients=3)
    try:
        office.join("a", "b", "c")
        first = office.coordinator.start_round().round
        for client in ("a", "b"):
            office.deliver(client, first)
        assert office.record(first)["state"] == "committed"
        second = office.coordinator.view.tasks["small"].running or 0
        office.deliver("c", first)  # which counts in the round that is open now
        office.later(61)
        assert office.record(second)["state"] == "abandoned"
        office.later(PAUSE)
        assert {client: asked.abandoned for client, asked in office.transport.asked.items()} == {"a": (), "b": (), "c": (first,)}
    finally:
        office.close()
