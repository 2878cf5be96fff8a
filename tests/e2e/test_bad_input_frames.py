"""Frames that are not what they should be, over a real socket: the connection ends, the log says whose, nobody else is hurt."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator

import pytest
import websocket

from tests.server.pi import Closed, Pi, hello, update
from tests.server.process import LAYOUT, ServerProcess
from tests.waiting import wait_for

LIMIT = 2 * 4 * LAYOUT.size + (8 << 20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server"), "--min-clients", "1", "--deadline", "1h") as process:
        yield process


@pytest.fixture
def good(server: ServerProcess) -> Iterator[Pi]:
    """A client in an open round, which must come through whatever the test does."""
    with Pi(server.url, "good") as pi:
        number = server.api.start()["round"]
        yield pi
        assert server.api.clients()["good"]["connected"]
        assert pi.train() == {"accepted": True}
        wait_for(lambda: server.api.round(number)["state"] == "committed", "the round to commit")
    server.empty()


BAD_FRAMES: dict[str, tuple[list[str | bytes], str]] = {
    "an empty frame": ([""], "not an Engine.IO packet"),
    "no packet type": (["hello"], "not an Engine.IO packet"),
    "base64, which websockets have no use for": (["bAAAA"], "not an Engine.IO packet"),
    "nesting without end": (["4" + "[" * 100_000], "not an Engine.IO packet (RecursionError)"),
    "an event with nesting without end": (["42" + "[" * 100_000], "not a Socket.IO packet (RecursionError)"),
    "an event that is not JSON": (['42["training_complete",{'], "not a Socket.IO packet"),
    "an event that is no list": (['42{"event":"x"}'], "not a Socket.IO packet"),
    "an event without a name": (["42[]"], "not a Socket.IO packet"),
    "an event whose name is an object": (['42[{"a":1}]'], "not a Socket.IO packet"),
    "an unknown Socket.IO type": (["49"], "not a Socket.IO packet"),
    "an object for a packet": (['4{"a":1}'], "not a Socket.IO packet"),
    "two attachments": (['452-["training_complete",{}]'], "not a Socket.IO packet (ValueError)"),
    "a million attachments": (['451000000-["training_complete",{}]'], "not a Socket.IO packet (ValueError)"),
    "an attachment that is not there": (
        ['451-["training_complete",{"weights":{"_placeholder":true,"num":7}}]', b"abc"],
        "not a Socket.IO packet",
    ),
    "an attachment out of the blue": ([b"abc"], "not a Socket.IO packet"),
    "a number of an acknowledgement without end": (["42" + "9" * 200 + '["x"]'], "not a Socket.IO packet"),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_a_bad_frame_ends_only_the_connection_it_came_over(case: str, server: ServerProcess, good: Pi) -> None:
    frames, complaint = BAD_FRAMES[case]
    name = f"bad-{list(BAD_FRAMES).index(case)}"
    bad = Pi(server.url, name)
    for frame in frames:
        bad.send(frame)
    bad.wait_closed()
    assert server.logged(f"{name}: a message is ") == 1
    assert complaint in server.log()
    wait_for(lambda: not server.api.clients()[name]["connected"], "the fleet to know")
    assert "Traceback" not in server.log()


def test_acknowledgements_that_nobody_asked_for_are_ignored(server: ServerProcess, good: Pi) -> None:
    with Pi(server.url, "chatty") as pi:
        pi.send('4399["ok"]')
        assert pi.call("training_complete", None)["accepted"] is False


def test_an_update_that_is_much_too_large_is_refused_by_name(server: ServerProcess, good: Pi) -> None:
    with Pi(server.url, "large") as pi:
        answer = pi.call("training_complete", update(1, weights=bytes(LIMIT - 1000)))
        assert answer["accepted"] is False
        assert f"weights: {LIMIT - 1000} bytes do not fit the layout" in answer["reason"]
        assert server.logged("large: training_complete refused: weights:") == 1


def test_a_message_beyond_every_limit_ends_the_connection_and_the_log_says_whose(server: ServerProcess, good: Pi) -> None:
    bad = Pi(server.url, "huge")
    with pytest.raises(Closed):
        bad.call("training_complete", update(1, weights=bytes(LIMIT + 1)))
    bad.close()
    assert server.logged(f"huge: a message is larger than the {LIMIT} bytes that this server takes") == 1


def test_json_of_megabytes_is_refused_before_it_is_parsed_and_weights_of_megabytes_are_not(server: ServerProcess, good: Pi) -> None:
    bad = Pi(server.url, "wordy")
    with pytest.raises(Closed):
        bad.call("data_update", {"t": [[]] * 2_000_000})  # eight megabytes
    bad.close()
    assert server.logged("wordy: a message of text is larger than the 1048576 bytes that this server takes") == 1
    with Pi(server.url, "talkative") as pi:
        assert (
            "t: expected a list of 1 to 10000 times"
            in pi.call("data_update", {"cycle": None, "t": [[]] * 200_000, "channels": {}})["reason"]
        )
        assert "do not fit the layout" in pi.call("training_complete", update(1, weights=bytes(8 << 20)))["reason"]


def test_who_has_not_shaken_hands_may_not_send_much(server: ServerProcess, good: Pi) -> None:
    stranger = Pi(server.url, connect=False)
    with pytest.raises(Closed):
        stranger.call("training_failed", {"round": 1, "reason": "x" * (1 << 20)})
    stranger.close()
    assert server.logged("a connection from 127.0.0.1: a message is larger than the 65536 bytes") == 1


def test_an_event_before_the_handshake_is_not_heard(server: ServerProcess, good: Pi) -> None:
    stranger = Pi(server.url, connect=False)
    stranger.send('421["training_failed",{"round":1,"reason":"x"}]')
    stranger.connect(hello("early"))
    assert stranger.call("training_complete", None)["accepted"] is False
    assert 1 not in stranger._acks or stranger._last == 1
    stranger.close()


def raw_frame(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    length = len(payload)
    size = bytes([length | (0x80 if mask else 0)]) if length < 126 else bytes([126 | (0x80 if mask else 0)]) + struct.pack("!H", length)
    return bytes([first]) + size + (b"\0\0\0\0" if mask else b"") + payload


BAD_WEBSOCKET: dict[str, bytes] = {
    "an unmasked frame": raw_frame(1, b"2", mask=False),
    "an unknown opcode": raw_frame(11, b""),
    "a reserved bit": raw_frame(1, b"3", rsv=4),
    "a fragmented ping": raw_frame(9, b"", fin=False),
    "a continuation of nothing": raw_frame(0, b"3"),
    "text that is not UTF-8": raw_frame(1, b"4\xff\xfe"),
    "an impossible length": b"\x82\xff" + b"\xff" * 8 + b"\0\0\0\0",
    "not a frame at all": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("case", BAD_WEBSOCKET)
def test_bytes_that_are_no_websocket_frame_end_only_their_connection(case: str, server: ServerProcess, good: Pi) -> None:
    name = f"raw-{list(BAD_WEBSOCKET).index(case)}"
    bad = Pi(server.url, name)
    bad.connection.sendall(BAD_WEBSOCKET[case])
    bad.wait_closed()
    wait_for(lambda: not server.api.clients()[name]["connected"], "the fleet to know")
    assert server.logged(f"WARNING bramble_server.fleet.rate_limited_log: {name}: ") == 1
    assert "Traceback" not in server.log()


def test_a_message_in_fragments_is_put_together(server: ServerProcess, good: Pi) -> None:
    with Pi(server.url, "fragments") as pi:
        packet = b'427["training_failed",{"round":99999,"reason":"no"}]'
        pi.connection.sendall(raw_frame(1, packet[:9], fin=False) + raw_frame(9, b"hi") + raw_frame(0, packet[9:20], fin=False))
        pi.connection.sendall(raw_frame(0, packet[20:]))
        assert pi.answer(7) == {"accepted": False, "reason": "unknown round 99999"}


def test_a_connection_that_breaks_in_the_middle_of_a_frame_is_just_gone(server: ServerProcess, good: Pi) -> None:
    bad = Pi(server.url, "broken")
    bad.connection.sendall(b"\x82\xfe\x10\x00\0\0\0\0half a frame")
    bad.close()
    wait_for(lambda: not server.api.clients()["broken"]["connected"], "the fleet to know")
    assert "Traceback" not in server.log()


BAD_UPGRADES: dict[str, tuple[str, dict[str, str], int]] = {
    "polling": ("/socket.io/?EIO=4&transport=polling", {}, 400),
    "an old Engine.IO": ("/socket.io/?EIO=3&transport=websocket", {"Upgrade": "websocket", "Connection": "Upgrade"}, 400),
    "no upgrade": ("/socket.io/?EIO=4&transport=websocket", {}, 400),
    "no key": (
        "/socket.io/?EIO=4&transport=websocket",
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
        426,
    ),
    "an old WebSocket": (
        "/socket.io/?EIO=4&transport=websocket",
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "8", "Sec-WebSocket-Key": "x"},
        426,
    ),
    "a session that is not there": (
        "/socket.io/?EIO=4&transport=websocket&sid=nobody",
        {"Upgrade": "websocket", "Connection": "Upgrade"},
        400,
    ),
}


@pytest.mark.parametrize("case", BAD_UPGRADES)
def test_a_bad_upgrade_is_refused_over_http(case: str, server: ServerProcess, good: Pi) -> None:
    path, headers, status = BAD_UPGRADES[case]
    assert server.request("GET", path, headers)[0] == status


def test_another_namespace_is_refused_and_the_default_one_goes_on(server: ServerProcess, good: Pi) -> None:
    with Pi(server.url, "namespaced") as pi:
        pi.send('40/admin,{"protocol":1}')
        pi.send("40" + json.dumps(hello("twice")))
        frames = {str(pi._receive()) for _ in range(2)}
        assert frames == {'44/admin,"Unable to connect"', '44"Unable to connect"'}
        assert pi.call("training_complete", None)["accepted"] is False
    assert "twice" not in server.api.clients()


def test_a_page_of_another_site_cannot_open_a_websocket(server: ServerProcess, good: Pi) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        Pi(server.url, "page", origin="https://evil.example")
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        Pi(server.url, "rebound", host="evil.example", origin="http://evil.example")


def test_bytes_that_are_not_http_are_answered_and_forgotten(server: ServerProcess, good: Pi) -> None:
    for garbage in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(garbage)
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert server.logged("127.0.0.1: a request is not HTTP", times=3) == 3
    assert "Traceback" not in server.log()
