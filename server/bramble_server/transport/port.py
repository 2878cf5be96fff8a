"""What a server needs of whatever carries its messages, and what that calls in turn.

Any engine that passes ``tests/server/transport/test_port.py`` can take gevent's place: what happens to a message, and who hears what, is
decided on this side of the port, without knowing how bytes come and go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol

from bramble_protocol.errors import BrambleError
from bramble_server.loop import Loop

UNANSWERED: Final = object()
"""What a receiver returns so that a message is not acknowledged: its sender keeps it, and comes again."""


class NotAdmittedError(BrambleError):
    """A client is not let in; it is told this sentence."""


class Receiver(Protocol):
    """What is told what comes.

    One client's messages are handled one after the other, in the order in which they were sent. Others' are, where it waits for
    something. It may take as long as it likes: that client is not read from meanwhile, and nobody else notices.
    """

    def connect(self, session: str, address: str, auth: Any) -> None:
        """Take a client in.

        Parameters
        ----------
        session
            What this connection is called from here on; never used again for another.
        address
            Where it comes from.
        auth
            What it said in its handshake, not checked.

        Raises
        ------
        NotAdmittedError
            If it is not let in. Nothing else is heard of this session then.
        """

    def disconnect(self, session: str, reason: str) -> None:
        """Note that the connection of a client that was let in has ended, whoever ended it. Called once."""

    def receive(self, session: str, event: str, payload: tuple[Any, ...]) -> Any:
        """Take a message; return what it is acknowledged with, or ``UNANSWERED``. Not called before :meth:`connect` has returned.

        Parameters
        ----------
        event
            Any name that a client thought of.
        payload
            What came with it, parsed and not checked; attachments are bytes.
        """

    def complain(self, session: str | None, address: str, sentence: str) -> None:
        """Note that a client's own fault ends its connection; without a session it had not shaken hands."""


class Transport(Protocol):
    """Carries messages between a server and its clients' sessions; :class:`bramble_server.transport.gevent.engine.GeventTransport` is one.

    It bounds what anybody can cost it: a message is refused before it is all here if it is larger than agreed, or comes before the
    handshake; a client is read no faster than its messages are handled and it takes its answers; only so many large messages are in
    memory at once. Who moves bytes is alive, so that a large model on a slow link does not look like a dead client, nor the server to
    it; who is silent for longer than agreed is gone. What has to wait for one client never waits for another.
    """

    def attach(self, receiver: Receiver) -> None:
        """Tell this receiver what comes. Called once, before anybody may connect."""

    def send(self, sessions: Collection[str], event: str, payload: Mapping[str, Any]) -> None:
        """Send a message to these sessions, one or many; does not wait.

        What is sent to a session arrives in that order. The message is put together once, and attachments, which are bytes, are not
        copied for each. A session that has ended gets nothing, and without any session nobody does.
        """

    def close(self, session: str) -> None:
        """End a session: say so, and close the connection whether the client listens or not; does not wait for what is on its way."""

    def pending(self, session: str) -> int:
        """Return about how many bytes wait for a client to take them; 0 for a session that has ended."""

    def loop(self, threads: int) -> Loop:
        """Return what runs work beside the connections, with so many threads of its own for what blocks."""
