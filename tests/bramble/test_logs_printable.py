"""Whatever a peer says: a log's line stays one line, and neither a log nor a table steers the terminal it is shown on."""

from __future__ import annotations

import io
import json
import logging

import pytest
from rich.console import Console

from bramble import answers, fleet, logs, terminal
from bramble_protocol import ProtocolError
from bramble_protocol.messages import Channel, Handshake

HOSTILE = "1.0\x1b[2J\x1b]0;owned\x07\nforged\u202eline\x9b31m"


@pytest.mark.parametrize("formatter", [logs.Formatter(logs.TERMINAL), logs.JournalFormatter()], ids=["terminal", "journal"])
def test_a_record_is_one_printable_line(formatter: logging.Formatter) -> None:
    record = logging.LogRecord("name", logging.WARNING, __file__, 1, "said %s", (HOSTILE,), None)
    line = formatter.format(record)
    assert line.isprintable()
    assert "said 1.0?[2J" in line


def test_so_is_each_line_of_a_traceback() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        record = logging.LogRecord("name", logging.ERROR, __file__, 1, "failed", (), (type(error), error, error.__traceback__))
    assert all(line.isprintable() for line in logs.Formatter(logs.TERMINAL).format(record).splitlines())


def test_so_is_each_cell_of_a_table() -> None:
    shown = io.StringIO()
    Console(file=shown, width=200).print(terminal.table(("client", "version"), [("pi", HOSTILE)]))
    assert all(line.isprintable() for line in shown.getvalue().splitlines())


def test_what_a_server_answers_is_printable_at_the_edge() -> None:
    told = json.loads('{"a": {"version": "1\\u001b[2J", "gone": ["x\\u0007", "y"]}, "t": [1, 2]}', object_hook=answers.shown)
    assert told == {"a": {"version": "1?[2J", "gone": ["x?", "y"]}, "t": [1, 2]}


def test_a_table_of_the_fleet_is_printable() -> None:
    client = {"connected": True, "since": 0.0, "version": HOSTILE, "last_round": None, "fresh": True, "health": None}
    shown = io.StringIO()
    server = {"version": "1", "mode": "private", "task": "climate", "round": 0, "running": None, "in_use": {}, "measures": {}, "unseen": {}}
    fleet.show({"server": server, "clients": {"pi": client}, "never_seen": []}, Console(file=shown, width=200))
    assert "\x1b" not in shown.getvalue()
    assert "\x9b" not in shown.getvalue()


def test_a_handshake_that_is_not_printable_is_refused_by_name() -> None:
    with pytest.raises(ProtocolError, match="version: expected printable text"):
        Handshake.from_wire({"protocol": 1, "client_id": "pi", "version": HOSTILE})
    with pytest.raises(ProtocolError, match=r"channel.unit: expected printable text"):
        Channel.from_wire({"key": "temperature", "unit": "\x1b[2J"})
