"""A client's message while it arrives: how large and how slow it may be, and where its parts are until it is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from wsproto.events import BytesMessage, Message
from wsproto.frame_protocol import CloseReason

from bramble_protocol.clock import Clock

LARGE = 1 << 20
"""Bytes beyond which a message takes one of the places for large ones."""
HELLO_BYTES = 1 << 16
"""Largest message before the handshake."""
MOST_PARTS = 1000
"""Parts of a message that are kept apart."""
SLOW_S, SLOWEST = 60, 1000
"""Seconds after which a message that is not whole must have come at so many bytes a second."""


@dataclass(frozen=True)
class Limits:
    """How large and how slow a client's messages may be."""

    message: int
    """Bytes of a binary message, once it is admitted."""
    text: int
    """Characters of a text message: JSON, which has to be parsed and checked."""
    ping_interval: float
    """Seconds from one answer to a ping to the next ping."""
    ping_timeout: float
    """Seconds within which it is answered."""
    places: Any
    """A semaphore: how many large messages may be in memory at once."""

    @property
    def patience(self) -> float:
        """Seconds without a byte in either direction after which a client counts as gone."""
        return self.ping_interval + self.ping_timeout


class BadMessageError(Exception):
    """A client sent what no client may send; its connection ends."""

    def __init__(self, sentence: str, code: CloseReason = CloseReason.PROTOCOL_ERROR) -> None:
        super().__init__(sentence)
        self.code = code


class Arriving:
    """The messages of one client, one after the other.

    Parameters
    ----------
    waiting
        Called now and then while there is no place for a large message.
    """

    def __init__(self, limits: Limits, waiting: Callable[[], None], clock: Clock) -> None:
        self._limits, self._waiting, self._clock = limits, waiting, clock
        self._parts: list[str | bytes] = []
        self._begun = clock.monotonic()
        self._placed = False
        self.size = 0
        """Bytes, or characters, that are here."""
        self.admitted = False
        """Whether the client was let in: before that no message may be large."""

    @property
    def begun(self) -> bool:
        """Whether some of a message is here, and not all of it."""
        return bool(self._parts)

    def add(self, event: Message[Any]) -> str | bytes | None:
        """Add a part of a message; return the message once it is whole.

        Raises
        ------
        BadMessageError
            If it is larger than this client's may be.
        """
        if not self._parts:
            self._begun = self._clock.monotonic()
        binary = isinstance(event, BytesMessage)
        self._grow(len(event.data), binary)
        if event.data:
            self._parts.append(event.data)
        if event.message_finished or len(self._parts) == MOST_PARTS:
            self._parts = [(b"" if binary else "").join(self._parts)]  # type: ignore[arg-type]
        if not event.message_finished:
            return None
        message = self._parts[0]
        self.done()
        return message

    def space(self, left: int) -> NDArray[np.uint8] | None:
        """Return where the whole of a binary message is to be of which so many bytes are to come, with what is here at its beginning.

        None if it would be too large, which :meth:`add` says once it is. What is not filled yet takes no memory.
        """
        if self.size + left > (self._limits.message if self.admitted else HELLO_BYTES):
            return None
        whole = np.empty(self.size + left, np.uint8)
        whole[: self.size] = np.frombuffer(b"".join(self._parts), np.uint8)  # type: ignore[arg-type]
        return whole

    def came(self, count: int) -> None:
        """Note that so many bytes more are in their place."""
        self._grow(count, True)

    def done(self) -> None:
        """Note that the message is whole, and handed on."""
        self._parts, self.size = [], 0

    def _grow(self, count: int, binary: bool) -> None:
        """Refuse what is too large before it is all here, and long before it is parsed: weights are binary, JSON is short."""
        self.size += count
        if self.size <= HELLO_BYTES:
            return
        limits = self._limits
        limit = HELLO_BYTES if not self.admitted else limits.message if binary else limits.text
        if self.size > limit:
            kind = "" if binary or not self.admitted else " of text"
            raise BadMessageError(f"a message{kind} is larger than the {limit} bytes that this server takes", CloseReason.MESSAGE_TOO_BIG)
        if self.size > LARGE and not self._placed:
            self._take_place()

    def check_pace(self) -> None:
        """Let nobody keep a message, and with it a place for large ones, without end.

        Raises
        ------
        BadMessageError
            If it comes too slowly.
        """
        seconds = self._clock.monotonic() - self._begun
        if seconds > SLOW_S and self.size < SLOWEST * seconds:
            raise BadMessageError(f"a message comes more slowly than {SLOWEST} bytes a second", CloseReason.POLICY_VIOLATION)

    def _take_place(self) -> None:
        """Read on only when there is a place; until then the client's bytes wait in its own memory."""
        while not self._limits.places.acquire(timeout=1.0):
            self._waiting()
        self._placed = True

    def give_place_back(self) -> None:
        """Let another client send a large message, if this one had a place for one."""
        if self._placed:
            self._placed = False
            self._limits.places.release()
