"""A client's part in secure rounds, with a link and a server that a test plays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.secure_sums import METRICS
from bramble_client.deliver.link import LinkDown
from bramble_client.learn.pace import BrokenOff
from bramble_client.learn.trainer import Result
from bramble_client.summing import Summing
from bramble_protocol.layout import Layout
from bramble_protocol.messages import ClientUpdate, MaskedComplete, SecureTerms, SecureTold, Timing, TrainConfig, TrainingComplete
from bramble_protocol.secure.collector import Collector, split
from bramble_protocol.secure.noised import Noise, Noised
from bramble_protocol.secure.party import Party
from tests.waiting import wait_for

LAYOUT = Layout.of([("w", [8])])
TERMS = SecureTerms("ab" * 16, 3, 8.0, 1000)
WEIGHTS = np.zeros(8, np.float32)
PLAIN = ClientUpdate(7, "small", "0" * 64, LAYOUT, "float32", "float32", WEIGHTS, TrainConfig())
ASKED = replace(PLAIN, secure=TERMS)
DONE = Result(TrainingComplete(7, LAYOUT, "float32", WEIGHTS + 1, 100, METRICS, Timing(1.0, 2.0, 3.0)), [], 0.0)


class Link:
    """Notes what is said; answers as it is told to."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.answer: Any = {"accepted": True}

    def call(self, event: str, payload: Any, timeout: float) -> Any:
        self.said.append(payload)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Round:
    """The client under test, two others, and what adds them up."""

    def __init__(self) -> None:
        self.link, self.failed = Link(), list[tuple[int, str, str]]()
        self.client = Summing("pi-1", self.link, 3, True, None, lambda *told: self.failed.append(told))  # type: ignore[arg-type]
        self.others = {name: Party(name, TERMS.context("small", 7)) for name in ("pi-2", "pi-3")}
        self.collector = Collector(TERMS.context("small", 7), TERMS.encoding, 8)
        self.client.start()

    def says(self, phase: str) -> bytes:
        """Wait until the client says something in a phase, and take it."""
        wait_for(lambda: self.link.said and self.link.said[-1]["phase"] == phase, phase)
        data: bytes = self.link.said[-1]["data"]
        self.collector.take("pi-1", phase, data)
        return data

    def tell(self, phase: str) -> dict[str, tuple[list[str], bytes]]:
        """Tell the client what a phase begins with; return what all are told."""
        told = self.collector.told(phase, ["pi-1", *self.others])
        self.client.told(SecureTold(7, phase, tuple(told["pi-1"][0]), told["pi-1"][1]).to_wire())
        return told

    def shared(self) -> None:
        """Go through the first two phases."""
        assert self.client.ask(ASKED) is None
        self.says("keys")
        for name, party in self.others.items():
            self.collector.take(name, "keys", party.keys())
        told = self.tell("shares")
        for name, party in self.others.items():
            self.collector.take(name, "shares", party.share(split(*told[name])))
        self.says("shares")


@pytest.fixture
def a_round() -> Iterator[Round]:
    opened = Round()
    yield opened
    assert opened.client.stop(10)


def test_it_masks_once_all_is_there_and_says_each_thing_once(a_round: Round) -> None:
    a_round.shared()
    told = a_round.tell("masked")
    masked = a_round.client.masked(ASKED, DONE, lambda: True).complete
    assert isinstance(masked, MaskedComplete)
    assert masked.to_wire(ASKED).keys() == {"round", "encoding", "weights"}
    a_round.collector.mask("pi-1", masked.to_wire(ASKED)["weights"])
    for name, party in a_round.others.items():
        party.take(split(*told[name]))
        a_round.collector.mask(name, party.mask(TERMS.encoding.encode(WEIGHTS, 100, METRICS)).tobytes())
    told = a_round.tell("list")
    for name, party in a_round.others.items():
        a_round.collector.take(name, "list", party.agree(told[name][0]))
    a_round.says("list")
    told = a_round.tell("open")
    for name, party in a_round.others.items():
        a_round.collector.take(name, "open", party.unmask(split(*told[name])))
    a_round.says("open")
    assert a_round.collector.open().change == pytest.approx([1 / 3] * 8, abs=1e-5)
    a_round.tell("open")
    assert [said["phase"] for said in a_round.link.said] == ["keys", "shares", "list", "open"], "and nothing twice"
    assert a_round.failed == []


def test_it_takes_no_part_in_a_round_whose_updates_are_seen(a_round: Round) -> None:
    assert "in secure sums alone" in (a_round.client.ask(PLAIN) or "")
    assert a_round.link.said == []


def test_noise_that_so_many_must_share_lets_no_smaller_sum_be_opened(a_round: Round) -> None:
    noise = Noise(1.0, 0.5, 0.0, 0.0, least=4)
    terms = replace(TERMS, clients=5, reach=Noised.of(5, 1000, noise).reach, noise=noise)
    assert a_round.client.ask(replace(PLAIN, secure=terms)) is None
    wait_for(lambda: a_round.link.said, "keys")
    keys = {name: Party(name, terms.context("small", 7)).keys() for name in ("pi-2", "pi-3")} | {"pi-1": a_round.link.said[0]["data"]}
    a_round.client.told(SecureTold(7, "shares", tuple(sorted(keys)), b"".join(keys[name] for name in sorted(keys))).to_wire())
    wait_for(lambda: a_round.failed, "it to be said")
    assert "3 clients would be in it, and this one wants 4" in a_round.failed[0][1]


@pytest.mark.parametrize("answer", [LinkDown("it is gone"), {"accepted": False, "reason": "round over"}, None])
def test_what_the_server_does_not_take_ends_its_part_and_breaks_the_training_off(a_round: Round, answer: Any) -> None:
    a_round.link.answer = answer
    assert a_round.client.ask(ASKED) is None
    with pytest.raises(BrokenOff):
        a_round.client.masked(ASKED, DONE, lambda: True)
    assert a_round.failed == []


def test_what_does_not_verify_is_said_and_ends_its_part(a_round: Round) -> None:
    a_round.shared()
    told = a_round.collector.told("masked", ["pi-1", *a_round.others])["pi-1"]
    a_round.client.told(SecureTold(7, "masked", tuple(told[0]), bytes(len(told[1]))).to_wire())
    with pytest.raises(BrokenOff):
        a_round.client.masked(ASKED, DONE, lambda: True)
    wait_for(lambda: a_round.failed, "it to be said")
    ((number, reason, task),) = a_round.failed
    assert (number, task) == (7, "small")
    assert "the share of pi-2 does not verify" in reason


@pytest.mark.parametrize("payload", [None, {}, {"round": 7, "phase": "keys", "clients": []}, {"round": 9, "phase": "list", "clients": []}])
def test_nothing_that_a_server_tells_makes_it_raise(a_round: Round, payload: Any) -> None:
    a_round.client.told(payload)
    assert a_round.client.alive


def test_a_newer_round_of_the_task_and_the_end_of_one_break_it_off(a_round: Round) -> None:
    a_round.client.ask(ASKED)
    a_round.client.ask(replace(ASKED, round=8, secure=replace(TERMS, session="cd" * 16)))
    with pytest.raises(BrokenOff):
        a_round.client.masked(ASKED, DONE, lambda: True)
    a_round.client.over(8)
    with pytest.raises(BrokenOff):
        a_round.client.masked(replace(ASKED, round=8, secure=replace(TERMS, session="cd" * 16)), DONE, lambda: True)
