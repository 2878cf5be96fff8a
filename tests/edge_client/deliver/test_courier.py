"""Delivery over a real link, from a real outbox, to a small Socket.IO server."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bramble_client.deliver import courier as module
from bramble_client.deliver.courier import Courier
from bramble_client.deliver.link import Link
from bramble_client.deliver.outbox import Item, Outbox
from tests.edge_client.socketserver import Server
from tests.waiting import wait_for


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = Outbox(tmp_path / "outbox.db")
    yield made
    made.close()


Send = Callable[..., tuple[Link, Courier]]


@pytest.fixture
def accepted() -> list[Item]:
    return []


@pytest.fixture
def send(server: Server, outbox: Outbox, accepted: list[Item]) -> Iterator[Send]:
    made: list[tuple[Link, Courier]] = []

    def build(take: Callable[[Item], None] = accepted.append, ack_timeout: float = 30.0) -> tuple[Link, Courier]:
        link = Link(server.url, {"client_id": "pi-1"}, longest_pause=0.05, timeout=10.0)
        courier = Courier(outbox, link, take, ack_timeout)
        link.start()
        courier.start()
        made.append((link, courier))
        return link, courier

    yield build
    for link, courier in made:
        link.stop()
        courier.stop(30)


def emptied(outbox: Outbox) -> None:
    wait_for(lambda: outbox.next() is None, "the outbox to empty")


def test_what_waits_is_sent_answers_first_and_forgotten_when_it_was_taken(
    server: Server, outbox: Outbox, send: Send, accepted: list[Item]
) -> None:
    for part in (1, 2):
        outbox.put_readings(str(part), "data_update", {"part": part})
    outbox.put_answer("training_complete", {"round": 1, "weights": b"\0\1\2\3"}, {"tested_until": 9.0})
    server.answer = lambda event, data: {"accepted": 2 if event == "data_update" else True}
    send()
    emptied(outbox)
    assert server.heard == [
        ("training_complete", {"round": 1, "weights": b"\0\1\2\3"}),
        ("data_update", {"part": 1}),
        ("data_update", {"part": 2}),
    ]
    assert [item.note for item in accepted] == [{"tested_until": 9.0}, {}, {}]


def test_what_is_put_while_the_link_is_up_is_sent_at_once(server: Server, outbox: Outbox, send: Send) -> None:
    link, _ = send()
    assert link.wait_up(30)
    outbox.put_answer("training_failed", {"round": 1, "reason": "no data"}, {})
    wait_for(lambda: server.heard, "the message")
    emptied(outbox)


def test_a_refusal_is_final_said_in_the_servers_words_and_not_accepted(
    server: Server, outbox: Outbox, send: Send, accepted: list[Item], caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = lambda event, data: {"accepted": False, "reason": "round over"}
    outbox.put_answer("training_complete", {"round": 7}, {})
    send()
    emptied(outbox)
    assert len(server.heard) == 1
    assert accepted == []
    assert "round 7: the server refused training_complete: round over" in caplog.text


def test_a_full_disk_is_said_once_and_what_was_answered_is_sent_until_it_can_be_forgotten(
    server: Server, outbox: Outbox, send: Send, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.01)
    remove, attempts = outbox.remove, 0

    def full_at_first(item: Item) -> None:
        nonlocal attempts
        attempts += 1
        if attempts <= 3:
            raise sqlite3.OperationalError("database or disk is full")
        remove(item)

    monkeypatch.setattr(outbox, "remove", full_at_first)
    server.answer = lambda event, data: {"accepted": True}
    outbox.put_answer("training_complete", {"round": 7}, {})
    send()
    emptied(outbox)
    assert server.heard == [("training_complete", {"round": 7})] * 4
    assert [record.getMessage() for record in caplog.records] == [
        "the outbox cannot be written (database or disk is full); sending goes on when there is room on its disk"
    ]
    assert caplog.records[0].exc_info is None


def test_refused_readings_are_said_once_per_reason(server: Server, outbox: Outbox, send: Send, caplog: pytest.LogCaptureFixture) -> None:
    server.answer = lambda event, data: {"accepted": 0, "reason": "private mode" if data["part"] < 5 else "reset"}
    for part in range(8):
        outbox.put_readings(str(part), "data_update", {"part": part})
    send()
    emptied(outbox)
    assert [record.getMessage() for record in caplog.records] == [
        "the server refused data_update: private mode",
        "the server refused data_update: reset",
    ]


@pytest.mark.parametrize("answer", [None, "yes", [], {}, {"ok": True}])
def test_an_answer_that_is_not_in_the_contract_is_no_acceptance(
    server: Server, outbox: Outbox, send: Send, accepted: list[Item], caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    server.answer = lambda event, data: answer
    outbox.put_answer("training_complete", {"round": 7}, {})
    send()
    emptied(outbox)
    assert accepted == []
    assert "not one of the contract" in caplog.text


def test_a_message_that_is_not_answered_is_sent_again_until_it_is(server: Server, outbox: Outbox, send: Send, accepted: list[Item]) -> None:
    silent = threading.Event()
    server.answer = lambda event, data: {"accepted": True} if len(server.heard) >= 3 else silent.wait(60)
    outbox.put_answer("training_complete", {"round": 1}, {})
    send(ack_timeout=0.05)
    emptied(outbox)
    silent.set()
    assert server.heard == [("training_complete", {"round": 1})] * len(server.heard)
    assert len(server.heard) >= 3
    assert len(accepted) == 1


def test_a_connection_that_ends_before_the_answer_costs_a_repeat_and_nothing_else(
    server: Server, outbox: Outbox, send: Send, accepted: list[Item]
) -> None:
    release = threading.Event()

    def answer(event: str, data: Any) -> Any:
        if len(server.heard) == 1:
            server.sio.disconnect(server.sids[-1])
            release.wait(60)
        return {"accepted": True}

    server.answer = answer
    outbox.put_answer("training_complete", {"round": 1}, {})
    send()
    emptied(outbox)
    release.set()
    assert len(server.heard) == 2
    assert len(accepted) == 1


def test_an_acceptance_is_noted_before_the_item_is_forgotten(outbox: Outbox, send: Send) -> None:
    held: list[bool] = []
    outbox.put_answer("training_complete", {"round": 1}, {})
    send(take=lambda item: held.append(outbox.holds(item)))
    emptied(outbox)
    assert held == [True]


def test_an_answer_that_was_replaced_while_the_old_one_was_on_its_way_is_sent_too(server: Server, outbox: Outbox, send: Send) -> None:
    def answer(event: str, data: Any) -> Any:
        if data["round"] == 1:
            outbox.put_answer("training_complete", {"round": 2}, {})
        return {"accepted": True}

    server.answer = answer
    outbox.put_answer("training_complete", {"round": 1}, {})
    send()
    wait_for(lambda: len(server.heard) == 2, "both")
    emptied(outbox)
    assert [data["round"] for _, data in server.heard] == [1, 2]


def test_stop_ends_a_courier_that_waits_for_an_answer_and_keeps_the_item(server: Server, outbox: Outbox, send: Send) -> None:
    release = threading.Event()
    server.answer = lambda event, data: release.wait(60)
    outbox.put_answer("training_complete", {"round": 1}, {})
    link, courier = send(ack_timeout=3600)
    wait_for(lambda: server.heard, "the message")
    link.stop()
    courier.stop(30)
    assert not courier.alive
    assert outbox.answer() is not None
    release.set()


def test_a_failure_on_the_way_is_logged_and_the_item_stays(
    outbox: Outbox, send: Send, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.ERROR)

    def fail(item: Item) -> None:
        raise OSError("the disk is on fire")

    outbox.put_answer("training_complete", {"round": 1}, {})
    _, courier = send(take=fail)
    wait_for(lambda: "sending failed" in caplog.text, "the log")
    assert outbox.answer() is not None
    assert courier.alive
