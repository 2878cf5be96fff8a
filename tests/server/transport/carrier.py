"""A transport in a process of its own, which its clients tell what to do: ``python carrier.py ENGINE PING_INTERVAL PING_TIMEOUT``.

What it can be told by an event is a method of :class:`Told`; it answers with what that returns.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from typing import Any

from bramble_server.transport.port import UNANSWERED, NotAdmittedError, Transport

LARGEST, TEXT = 1 << 25, 1 << 20
MOST = 256
"""Connections at once."""


def pattern(size: int, seed: int = 0) -> bytes:
    """Return so many bytes, of which no two places far apart look alike."""
    block = b"".join(hashlib.sha256(f"{seed} {index}".encode()).digest() for index in range(1 << 11))
    return (block * (size // len(block) + 1))[:size]


class Told:
    """A receiver that does what its clients say, and notes what it is told."""

    def __init__(self, transport: Transport) -> None:
        self._transport, self._loop = transport, transport.loop(1)
        self._names: dict[str, str] = {}
        self._notes: list[list[Any]] = []

    def connect(self, session: str, address: str, auth: Any) -> None:
        if not isinstance(auth, dict) or "client_id" not in auth:
            raise NotAdmittedError("who are you?")
        self._names[auth["client_id"]] = session
        self._note("connected", session, address)

    def disconnect(self, session: str, reason: str) -> None:
        self._note("gone", session, reason)

    def complain(self, session: str | None, address: str, sentence: str) -> None:
        self._note("complaint", session, sentence)

    def receive(self, session: str, event: str, payload: tuple[Any, ...]) -> Any:
        method: Callable[..., Any] | None = getattr(self, f"do_{event}", None)
        return method(session, *payload) if method else {"unknown": event}

    def _note(self, what: str, session: str | None, detail: Any) -> None:
        name = next((name for name, its in reversed(self._names.items()) if its == session), None)
        self._notes.append([what, name, detail])

    def do_echo(self, _: str, value: Any) -> Any:
        return value

    def do_nothing(self, _: str, *value: Any) -> Any:
        return UNANSWERED

    def do_take(self, session: str, value: Any) -> dict[str, Any]:
        """Take an attachment; say what came."""
        data = value["data"]
        self._note("took", session, value.get("number"))
        return {"bytes": len(data), "digest": hashlib.sha256(data).hexdigest()}

    def do_send(self, _: str, value: Any) -> int:
        """Send messages to clients; return how many sessions that were."""
        sessions = [self._names[name] for name in value["to"]]
        for number in range(value.get("count", 1)):
            size = value["size"] if number % 2 == 0 else value.get("every_second", value["size"])
            self._transport.send(sessions, value.get("event", "some"), {"number": number, "data": pattern(size, number)})
        return len(sessions)

    def do_pending(self, _: str, name: str) -> int:
        return self._transport.pending(self._names[name])

    def do_close(self, _: str, name: str) -> bool:
        self._transport.close(self._names[name])
        return True

    def do_notes(self, _: str, name: str) -> list[list[Any]]:
        """Return what was noted of a client, or of connections without a session."""
        return [[what, detail] for what, whose, detail in self._notes if whose == (name or None)]

    def do_stand(self, _: str, value: Any) -> str:
        """Block in a thread until a file is there."""
        go = Path(value)

        def until_it_is_there() -> str:
            while not go.exists():
                time.sleep(0.01)
            return "stood"

        return self._loop.offload(until_it_is_there)


def on_gevent(interval: float, timeout: float) -> None:
    """Run it on the server's own engine."""
    from flask import Flask

    from bramble_server.transport.gevent import engine

    app = Flask("carrier")
    transport = engine.GeventTransport(app, LARGEST, TEXT, interval, timeout)
    transport.attach(Told(transport))
    listener = engine.Listener(app, "127.0.0.1", 0, lambda *_, **__: None, most=MOST, per_address=MOST)
    listener.start()
    print(listener.port, flush=True)
    engine.wait_for_signal()
    listener.stop()
    print(len(listener._server.connections), "are left", flush=True)


def on_threads(interval: float, timeout: float) -> None:
    """Run it on threads, one for each connection."""
    from flask import Flask

    threaded = run_path(str(Path(__file__).with_name("threaded.py")))  # in this process there is no package of tests
    app = Flask("carrier")
    transport = threaded["ThreadedTransport"](app, LARGEST, TEXT, interval, timeout)
    transport.attach(Told(transport))
    threaded["serve"](app, MOST, lambda port: print(port, flush=True))


ENGINES = {"gevent": on_gevent, "threads": on_threads}

if __name__ == "__main__":
    ENGINES[sys.argv[1]](float(sys.argv[2]), float(sys.argv[3]))
