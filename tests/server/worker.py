"""A client as the contract wants it: comes back by itself, repeats what was not acknowledged. Its training adds one to every weight."""

from __future__ import annotations

import contextlib
import threading
import time
from types import TracebackType
from typing import Any

import socketio  # type: ignore[import-untyped]

from bramble_protocol.messages import ClientUpdate, Timing, TrainingComplete
from tests.in_order import InOrderSimply
from tests.server.pi import hello


class Worker:
    """One client with a thread of its own.

    With every client adding one, the model is its initial value plus the number of committed rounds: a round that was lost
    or counted twice would show.
    """

    def __init__(self, url: str, client: str) -> None:
        self.go = threading.Event()
        """Cleared, it makes training last until it is set again."""
        self.go.set()
        self.asked = 0
        """The last round that it was asked for."""
        self.acks: list[tuple[int, Any]] = []
        self._url, self._auth = url, hello(client)
        self._stopping = False
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave."""
        self._stopping = True
        self.go.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _live(self) -> None:
        while not self._stopping:
            client = InOrderSimply(reconnection=False)
            try:
                client.connect(self._url, transports=["websocket"], auth=self._auth)
                while not self._stopping:
                    with contextlib.suppress(socketio.exceptions.TimeoutError):
                        self._hear(client, *client.receive(timeout=0.1))
            except socketio.exceptions.SocketIOError:
                time.sleep(0.02)  # the server is away: try again soon
            finally:
                inner: Any = client.client
                client.disconnect()
                if inner and inner.eio.ws:  # python-engineio leaves it open when a connection is reset, or refused half-way
                    inner.eio.ws.shutdown()

    def _hear(self, client: Any, event: str, payload: Any) -> None:
        if event != "client_update":
            return
        update = ClientUpdate.from_wire(payload)
        self.asked = update.round
        self.go.wait()
        now = time.time()
        metrics = {"loss_before": 2.0, "loss_after": 1.0}
        answer = TrainingComplete(update.round, update.layout, update.reply_encoding, update.weights + 1, 5, metrics, Timing(now, now, now))
        self.acks.append((update.round, self._answer(client, answer.to_wire(update))))

    @staticmethod
    def _answer(client: Any, message: dict[str, Any]) -> Any:
        """Return the acknowledgement, however long it takes, unless the connection ends: the library's own call would not notice that."""
        answered, acknowledged = threading.Event(), list[Any]()
        client.client.emit("training_complete", message, callback=lambda *answer: (acknowledged.extend(answer), answered.set()))
        while not answered.wait(0.05):
            if not client.connected:
                raise socketio.exceptions.DisconnectedError
        return acknowledged[0]
