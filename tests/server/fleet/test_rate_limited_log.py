"""Lines about clients name them, forge nothing, and fill no disk."""

from __future__ import annotations

import logging

import pytest

from bramble_protocol.printable import printable
from bramble_server.fleet import rate_limited_log
from bramble_server.fleet.rate_limited_log import BURST, INTERVAL, RateLimitedLog
from tests.server.office import Clock


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = 0.0
    return clock


def test_a_complaint_is_logged_once_with_the_clients_name(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    RateLimitedLog(clock).about("pi-1", "samples: expected an integer")
    assert caplog.messages == ["pi-1: samples: expected an integer"]
    assert caplog.records[0].levelno == logging.WARNING


def test_a_flood_is_cut_short_and_what_was_left_out_is_counted(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    book = RateLimitedLog(clock)
    for _ in range(1000):
        book.about("pi-1", "no")
    assert len(caplog.messages) == BURST
    clock.now = INTERVAL
    book.about("pi-1", "no")
    assert caplog.messages[-1] == f"pi-1: no ({1000 - BURST} more about it were not logged)"
    clock.now = 2 * INTERVAL
    book.about("pi-1", "no")
    assert caplog.messages[-1] == "pi-1: no"


def test_what_is_no_complaint_may_be_said_at_another_level(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    RateLimitedLog(clock).about("pi-1", "connected", logging.INFO)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.INFO, "pi-1: connected")]


def test_one_clients_flood_silences_nobody_else(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    book = RateLimitedLog(clock)
    for _ in range(100):
        book.about("loud", "no")
    book.about("quiet", "no")
    assert caplog.messages[-1] == "quiet: no"


def test_names_without_end_take_no_memory_without_end(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limited_log, "REMEMBERED", 10)
    book = RateLimitedLog(clock)
    for number in range(100):
        book.about(f"pi-{number}", "no", address=f"192.0.2.{number}")
    assert len(book._names) == len(book._addresses) == 10


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain °C", "plain °C"),
        ("two\nlines", "two?lines"),
        ("\x1b[31mred", "?[31mred"),
        ("lone \ud800 surrogate", "lone ? surrogate"),
        ("right\u202eleft", "right?left"),
        ("x" * 1000, "x" * 300),
    ],
)
def test_what_a_client_says_cannot_forge_the_log(given: str, shown: str) -> None:
    assert printable(given) == shown


def test_fresh_names_of_one_address_are_one_flood(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    book = RateLimitedLog(clock)
    for number in range(10_000):
        book.about(f"name-{number}", "no", address="192.0.2.1")
    assert len(caplog.messages) == rate_limited_log.ADDRESS_BURST
    book.about("quiet", "no", address="192.0.2.2")
    assert caplog.messages[-1] == "quiet: no", "another address is heard"
    clock.now = rate_limited_log.ADDRESS_INTERVAL
    book.about("name", "no", address="192.0.2.1")
    assert caplog.messages[-1] == f"name: no ({10_000 - rate_limited_log.ADDRESS_BURST} more from 192.0.2.1 were not logged)"


@pytest.mark.slow
def test_a_day_of_floods_from_everywhere_fits_on_a_card(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    book = RateLimitedLog(clock)
    for number in range(200_000):
        clock.now = number * 86400 / 200_000
        book.about(f"name-{number}", "x" * 1000, address=f"2001:db8:{number % 65536:x}::{number}")
    assert sum(map(len, caplog.messages)) < 20 << 20
    assert any("more in all were not logged" in message for message in caplog.messages)
