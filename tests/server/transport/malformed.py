"""Requests and messages that nobody should send, by chance: the same seed makes the same ones."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.server.pi import hello, readings, update

PATHS = (
    *(b"/", b"/status", b"/data/all", b"/rounds", b"/rounds/1", b"/model", b"/model/clients", b"/reset", b"/generate", b"/graphs/x.tflite"),
    *(b"/socket.io/", b"/healthz", b"/readyz", b"/metrics", b"/clients", b"/%ff%00", b"//", b"/../etc/passwd", b"http://["),
)
QUERIES = (b"since", b"limit", b"client", b"weights", b"count", b"clients", b"EIO", b"transport", b"sid", b"j", b"t")
HEADERS = (
    *(b"Host", b"Origin", b"Referer", b"Content-Length", b"Transfer-Encoding", b"Accept", b"Authorization", b"Sec-Fetch-Site"),
    *(b"Upgrade", b"Connection", b"If-None-Match", b"Expect", b"Cookie", b"User-Agent", b"Content-Type", b"X-Forwarded-For", b"Range"),
    *(b"Sec-WebSocket-Key", b"Sec-WebSocket-Version", b"Sec-WebSocket-Protocol", b"Accept-Encoding", b"Sec-Fetch-Mode", b"Purpose"),
)
VALUES = (
    *(b"http://[", b"http://[::1", b"null", b"\xf8", b"\xff\xfe", b"127.0.0.1", b"localhost:x", b"[::1]:99999999", b"-1", b"1e9", b"4"),
    *(b"chunked", b"websocket", b"Upgrade", b"close", b"keep-alive", b"%00%ff", b"*/*;q=x", b"Basic \xf8", b"Basic //79", b"Bearer \xf8"),
    *(b"100-continue", b"a=b; c", b"bytes=0-", b"13", b"", b"\x1b[2J", b"\0", b"polling", b'W/"1"', b'"', b"text/html", b"9" * 400),
)
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**70, 1e308, float("nan"), "", "\x1b[2J\n", "x" * 3000, "\ud800", [], {}, [[]] * 50, {"_placeholder": True}),
    *({"_placeholder": True, "num": 0}, {"a": {"b": {"c": []}}}, [None] * 1000, {"": 0}, "2023-01-01"),
)


def some(chance: random.Random) -> bytes:
    return bytes(chance.randrange(256) for _ in range(chance.randrange(12)))


def value(chance: random.Random) -> bytes:
    return chance.choice(VALUES) if chance.random() < 0.7 else some(chance)


def request(chance: random.Random) -> bytes:
    """Return the bytes of a request that is almost one."""
    query = b"&".join(chance.choice(QUERIES) + b"=" + value(chance) for _ in range(chance.randrange(3)))
    query = query if chance.random() < 0.6 else some(chance)
    path = chance.choice(PATHS) if chance.random() < 0.8 else b"/" + some(chance)
    method = chance.choice((b"GET", b"GET", b"POST", b"HEAD", b"OPTIONS", b"DELETE", some(chance)))
    version = chance.choice((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2", b"HTTP/1.x", some(chance)))
    headers = [] if chance.random() < 0.1 else [b"Host: 127.0.0.1"]
    headers += [chance.choice(HEADERS) + b": " + value(chance) for _ in range(chance.randrange(5))]
    if chance.random() < 0.1:
        headers.append(some(chance))
    line = b" ".join((method, path + (b"?" + query if chance.random() < 0.6 else b""), version))
    return b"\r\n".join((line, *headers)) + b"\r\n\r\n" + (some(chance) if chance.random() < 0.2 else b"")


def events() -> list[list[Any]]:
    """Return one good event of each kind."""
    complete = {**update(1), "weights": {"_placeholder": True, "num": 0}}
    return [
        ["training_complete", complete],
        ["training_failed", {"round": 1, "reason": "no data"}],
        ["data_update", readings()],
        ["health", {"sent": 1.0, "sensors_gone": ["bme280"], "throttled": 1}],
        ["connect", hello("twice")],
        ["disconnect", "why"],
        ["unheard-of", 1],
    ]


def warped(chance: random.Random, item: Any) -> Any:
    """Return a value with something in it replaced, taken away or added."""
    if chance.random() < 0.15:
        return chance.choice(ODD)
    if isinstance(item, dict) and item:
        key = chance.choice(list(item))
        changed = {**item, key: warped(chance, item[key])}
        if chance.random() < 0.2:
            del changed[key]
        return {**changed, "more": 1} if chance.random() < 0.1 else changed
    if isinstance(item, list) and item:
        index = chance.randrange(len(item))
        return [*item[:index], warped(chance, item[index]), *item[index + 1 :]]
    return chance.choice(ODD)


def message(chance: random.Random) -> list[str | bytes]:
    """Return the frames of a message that is almost one."""
    event = warped(chance, chance.choice(events()))
    kind = chance.choice(("42", "42", "42", "421", "451-", "451-", "450-", "40", "41", "43", "44", "46", "4", "5", "3", "1"))
    text = kind + json.dumps(event)
    if chance.random() < 0.3:
        index = chance.randrange(len(text))
        text = text[:index] + chance.choice(('"', "{", "]", "\\", "\0", "é", "")) + text[index + chance.randrange(3) :]
    frames: list[str | bytes] = [text.encode(errors="replace").decode()]
    if kind == "451-" or chance.random() < 0.05:
        frames.append(bytes(chance.randrange(256) for _ in range(chance.choice((0, 1, 24, 25, 3000)))))
    return frames
