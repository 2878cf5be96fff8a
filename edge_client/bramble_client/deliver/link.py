"""The link to the server: one Socket.IO connection at a time, made again for ever, and calls that never vanish in silence."""

from __future__ import annotations

import json
import logging
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import websocket
from socketio.exceptions import SocketIOError  # type: ignore[import-untyped, unused-ignore]

from bramble_client.deliver import certificates, route
from bramble_client.deliver.socketio_client import Connection
from bramble_client.worker import Worker
from bramble_protocol import BrambleError
from bramble_protocol.clock import Clock

log = logging.getLogger(__name__)

Handler = Callable[[Any], None]
_SPEAKS = re.compile(r"protocol: \d+ is not spoken here, this server speaks ([\d, and]+)")
"""How a server refuses a version of the contract that it does not know, or no more."""


class LinkDown(BrambleError):
    """There is no connection, or it ended before the server answered."""


class NoAnswer(BrambleError):
    """The server did not acknowledge a message in time."""


@dataclass
class Backoff:
    """Exponential back-off with full jitter, so that a fleet whose server restarts does not come back as one.

    The pause before attempt n is uniform between 0 and ``min(longest, base * 2 ** n)`` ("full jitter", M. Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """

    base: float
    longest: float
    uniform: Callable[[float, float], float] = field(default=random.uniform, repr=False)
    attempts: int = 0

    def next(self) -> float:
        """Return the next pause, in seconds."""
        top = min(self.longest, self.base * 2.0 ** min(self.attempts, 60))
        self.attempts += 1
        return self.uniform(0.0, top)

    def reset(self) -> None:
        """Begin again with short pauses."""
        self.attempts = 0


@dataclass(eq=False)
class _Call:
    done: threading.Event = field(default_factory=threading.Event)
    answer: tuple[Any, ...] | None = None


Leaves = Callable[[str, int, Sequence[str], Mapping[str, int | str]], None]
ABOUT = ("round", "evaluation", "task")
"""Parts of a message that say what it answers."""


class Link(Worker):
    """Keeps a connection to the server, and makes a new one whenever it ends, however it ended.

    Parameters
    ----------
    url
        Root of the server.
    handshake
        What the client says of itself; it may hold the token and is never logged.
    older
        The same in version 1 of the contract, for a server of release 0.1 (brought back by a rollback, for instance), which knows no other.
    tls
        Returns what verifies the server, for ``https``; asked before each connection.
    proxy
        The one HTTP proxy to use, or None.
    longest_pause
        Longest pause between two attempts, seconds. After a refusal, which only a person can mend, it is ten times that.
    timeout
        Seconds for a connection to come about.
    leaves
        Called before each message is sent, and before each handshake (``connect``, told of without its token): with the event, bytes, names
        of parts, and what it answers.
    clock
        Says how long a connection held.
    """

    STEADY_S = 10.0
    """A connection that held this long makes the next pause short; one that did not, as when two clients take turns in
    throwing each other out, keeps them growing."""

    def __init__(
        self,
        url: str,
        handshake: dict[str, Any],
        *,
        older: dict[str, Any] | None = None,
        tls: Callable[[], ssl.SSLContext] | None = None,
        proxy: str | None = None,
        longest_pause: float = 30.0,
        timeout: float = 20.0,
        leaves: Leaves = lambda event, size, parts, about: None,
        clock: Clock = time,
    ) -> None:
        super().__init__("link")
        self.url = url
        self._handshake, self._older = handshake, older
        self._step_back = False
        self.protocol: int = handshake.get("protocol", 1)
        """Version of the contract that is spoken over this connection, or was over the last."""
        self._tls, self._proxy = tls, proxy
        self._timeout, self._clock = timeout, clock
        self._leaves = leaves
        self._unreachable = Backoff(min(1.0, longest_pause), longest_pause)
        self._refused = Backoff(min(5.0, 10 * longest_pause), 10 * longest_pause)
        self._handlers: dict[str, Handler] = {}
        self._on_up: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._connection: Connection | None = None
        self._calls: set[_Call] = set()
        self._up = threading.Event()
        self._said: set[str] = set()
        self._carried_before = 0
        self._latest: Connection | None = None

    @property
    def carried(self) -> int:
        """Bytes that its connections have sent and received."""
        with self._lock:
            return self._carried_before + (0 if self._latest is None else self._latest.carried)

    def on(self, event: str, handler: Handler) -> None:
        """Call a handler for each such event, in order of arrival, on the thread that reads: it must not block."""
        self._handlers[event] = handler

    def on_up(self, callback: Callable[[], None]) -> None:
        """Call back each time the server has accepted the handshake; the callback must not block."""
        self._on_up.append(callback)

    def stop(self, timeout: float = 2.0) -> bool:
        """Say goodbye and end, within so many seconds even if nobody listens."""
        return super().stop(timeout)

    def wake(self) -> None:
        """Have ``run`` end its connection, if it is told to stop."""
        connection = self._connection
        if connection is not None and self._stopping.is_set():
            # closing waits for the server's own goodbye, which after a silent cut never comes
            threading.Thread(target=_say_goodbye, args=(connection,), daemon=True).start()

    @property
    def up(self) -> bool:
        """Whether the server has accepted the handshake and the connection holds, as far as anyone can know."""
        return self._up.is_set()

    def wait_up(self, timeout: float) -> bool:
        """Wait until the link is up."""
        return self._up.wait(timeout)

    def call(self, event: str, payload: Any, timeout: float) -> Any:
        """Send an event and return the server's acknowledgement.

        Raises
        ------
        LinkDown
            If there is no connection, or it ends before the answer.
        NoAnswer
            If the answer does not come within ``timeout`` seconds.
        """
        call = _Call()

        def acknowledge(*answer: Any) -> None:
            call.answer = answer
            call.done.set()

        with self._lock:
            if not self._up.is_set() or self._connection is None:
                raise LinkDown("there is no connection to the server")
            connection = self._connection
            self._calls.add(call)
        try:
            self._tell(event, payload)
            with self._sending:  # a message and its attachment must not be torn apart by another
                connection.emit(event, payload, callback=acknowledge)
            answered = call.done.wait(timeout)
        except SocketIOError as error:
            raise LinkDown(f"the connection to the server ended ({error})") from error
        finally:
            with self._lock:
                self._calls.discard(call)
        if call.answer is not None:
            return call.answer[0] if call.answer else None
        if answered:
            raise LinkDown("the connection to the server ended before it answered")
        raise NoAnswer(f"the server did not answer {event} within {timeout:g} s")

    def _tell(self, event: str, payload: Any) -> None:
        """Say what is about to leave; whoever keeps it is not handed the message."""
        said = payload if isinstance(payload, Mapping) else {}
        about = {name: said[name] for name in ABOUT if isinstance(said.get(name), int | str)}
        self._leaves(event, size_of(payload), list(said), about)

    def run(self) -> None:
        """Connect, and connect again, until told to stop."""
        while not self._stopping.is_set():
            pause = self._one_connection()
            self._stopping.wait(pause)

    def _one_connection(self) -> float:
        """Live through one connection, from the attempt to its end; return the pause until the next."""
        connection = Connection(self._timeout, self._tls and self._tls(), self._proxy)
        with self._lock:
            self._latest = connection
        handshake = self._older if self._step_back and self._older else self._handshake
        self._step_back, self.protocol = False, handshake.get("protocol", 1)  # the next connection begins with the newest again
        refusals: list[Any] = []
        for event, handler in self._handlers.items():
            connection.on(event, _guarded(event, handler))
        connection.on("connect", lambda: self._came_up(connection))
        connection.on("connect_error", lambda *data: refusals.append(data[0] if data else None))
        self._tell("connect", {name: value for name, value in handshake.items() if name != "token"})
        try:
            connection.open(self.url, handshake)
        except (SocketIOError, OSError, ValueError) as error:
            self._went_down(connection)
            if self._stopping.is_set():
                return 0.0
            if refusals and not isinstance(error.__cause__, Exception):
                sentence = _refusal(refusals[-1])
                if self._older and handshake is not self._older and str(self._older["protocol"]) in _versions(sentence):
                    self._step_back = True
                    return 0.0
                self._say_once(f"the server at {self.url} refuses this client: {sentence}")
                return self._refused.next() + self._unreachable.next()
            self._say_once(f"cannot reach the server at {self.url} ({_cause(error, self._clock)}); trying again until it answers")
            return self._unreachable.next()
        began = self._clock.monotonic()
        self.wake()  # whoever asked to stop meanwhile found no connection to say goodbye over
        connection.closed.wait()
        self._went_down(connection)
        if self._stopping.is_set():
            return 0.0
        if self._clock.monotonic() - began >= self.STEADY_S:
            self._unreachable.reset()
        self._say_once(f"lost the connection to the server at {self.url} ({connection.failure or 'it said goodbye'}); connecting again")
        return self._unreachable.next()

    def _came_up(self, connection: Connection) -> None:
        self._refused.reset()
        if self._said:
            log.info("connected to the server at %s again", self.url)
            self._said.clear()
        if self._older and self.protocol == self._older["protocol"]:
            log.info(
                "the server at %s speaks version %d of the contract, and so does this client until it is upgraded", self.url, self.protocol
            )
        with self._lock:
            self._connection = connection
            self._up.set()
        for callback in self._on_up:
            callback()

    def _went_down(self, connection: Connection) -> None:
        connection.discard()
        with self._lock:
            self._up.clear()
            self._connection = self._latest = None
            self._carried_before += connection.carried
            for call in self._calls:
                call.done.set()

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning("%s", sentence)


def _say_goodbye(connection: Connection) -> None:
    try:
        connection.disconnect()
    except Exception as error:  # it ended, or had not quite begun, at this very moment: there is nobody to say it to
        log.debug("no goodbye: %s", error)


def _guarded(event: str, handler: Handler) -> Callable[..., None]:
    def handle(*payload: Any) -> None:
        try:
            handler(payload[0] if payload else None)
        except Exception:
            log.exception("the handler of %s failed", event)

    return handle


def _versions(sentence: str) -> list[str]:
    """Return the versions of the contract that a refusal offers instead."""
    spoken = _SPEAKS.match(sentence)
    return re.findall(r"\d+", spoken[1]) if spoken else []


def _refusal(data: Any) -> str:
    """Return the server's own sentence, cut so that it cannot fill a log."""
    text = data.get("message") if isinstance(data, dict) else data
    return str(text or "without a reason")[:500]


def _cause(error: BaseException, clock: Clock) -> str:
    """Return what is behind a failed attempt, in words."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for item in reversed(chain):
        if isinstance(item, ssl.SSLCertVerificationError):
            return certificates.refusal(item, clock)
        if isinstance(item, websocket.WebSocketBadStatusException):
            return _status(item.status_code)
        if isinstance(item, websocket.WebSocketProxyException):
            return f"the proxy that --proxy names does not let it through: {item}"
        if route.speaks_no_http(item):
            return route.NOT_HTTP
        if isinstance(item, socket.gaierror):
            return "its name is not known"
        if isinstance(item, TimeoutError | websocket.WebSocketTimeoutException):
            return "it does not answer"
        if isinstance(item, ssl.SSLError):
            return f"no TLS with it: {item.reason or item}"
        if isinstance(item, OSError) and item.strerror:
            return item.strerror.lower()
    return str(chain[-1])


def _status(status: int) -> str:
    sentence = f"it answered the handshake with HTTP {status}; is this a Bramble server?"
    if status in (400, 426):
        sentence += " A proxy on the way that does not pass on Upgrade: websocket makes it say that too"
    return sentence


def size_of(payload: Any) -> int:
    """Return the bytes of a message: of its attachments, and of the text that says the rest."""
    attached = 0

    def aside(value: Any) -> Any:
        nonlocal attached
        if isinstance(value, bytes | bytearray | memoryview):
            attached += len(value)
            return {"_placeholder": True, "num": 0}
        if isinstance(value, Mapping):
            return {str(name): aside(each) for name, each in value.items()}
        return [aside(each) for each in value] if isinstance(value, list | tuple) else value

    return len(json.dumps(aside(payload), separators=(",", ":"), default=str)) + attached
