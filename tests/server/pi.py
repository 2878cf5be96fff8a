"""A client that speaks the contract frame by frame, so that it can also be impolite."""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
import websocket

from tests.server.process import LAYOUT

CHANNELS = [{"key": "temperature", "unit": "°C"}, {"key": "humidity", "unit": "%"}]
TIMING = {"received": 1.0, "train_start": 2.0, "train_end": 3.0}


class Closed(Exception):
    """The server has closed the connection."""


class Refused(Exception):
    """The server has refused the handshake, with this sentence."""


def hello(client: str, **other: Any) -> dict[str, Any]:
    """Return a handshake."""
    return {"protocol": 1, "client_id": client, "token": None, "simulated": True, "channels": CHANNELS, "version": "1", **other}


def update(number: int, value: float = 1.0, samples: int = 10, **other: Any) -> dict[str, Any]:
    """Return a ``training_complete`` whose weights all have one value."""
    return {
        "round": number,
        "layout": LAYOUT.to_wire(),
        "encoding": "float32",
        "weights": np.full(LAYOUT.size, value, "<f4").tobytes(),
        "samples": samples,
        "metrics": {"loss_before": 2.0, "loss_after": 1.0},
        "timing": TIMING,
        **other,
    }


def readings(cycle: int | None = None, t: tuple[float, ...] = (1.0, 2.0), **other: Any) -> dict[str, Any]:
    """Return a ``data_update`` of one channel."""
    return {"cycle": cycle, "t": list(t), "channels": {"temperature": {"unit": "°C", "value": [20.5] * len(t)}}, **other}


class Pi:
    """One connection. Nothing happens in the background: it answers pings while it waits for something else."""

    def __init__(self, url: str, client: str = "pi-1", auth: Any = ..., connect: bool = True, within: float = 60.0, **options: Any) -> None:
        self.within = within
        self._acks: dict[int, list[Any]] = {}
        self._events: deque[tuple[str, Any]] = deque()
        self._last = 0
        self.noops = 0
        """Packets that came and mean nothing but that the server is there."""
        if source := options.pop("source", None):
            target = urlsplit(url)
            options["socket"] = socket.create_connection((target.hostname, target.port), within, source)
        self.socket = websocket.create_connection(
            url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket", timeout=within, **options
        )
        self.opened = json.loads(str(self._receive())[1:])
        if connect:
            self.connect(hello(client) if auth is ... else auth)

    def connect(self, auth: Any) -> None:
        """Shake hands."""
        self.send("40" + ("" if auth is None else json.dumps(auth)))
        frame = str(self._receive())
        while frame == "2":
            self.send("3")
            frame = str(self._receive())
        if frame.startswith("44"):
            self.close()
            raise Refused(json.loads(frame[2:])["message"])
        assert frame.startswith("40"), frame

    def send(self, frame: str | bytes) -> None:
        """Send one frame as it is."""
        try:
            if isinstance(frame, bytes):
                self.socket.send_binary(frame)
            else:
                self.socket.send(frame)
        except (OSError, websocket.WebSocketException) as error:
            raise Closed from error

    def emit(self, *event: Any) -> None:
        """Send an event without asking for an acknowledgement."""
        self._emit(list(event), "")

    def call(self, *event: Any) -> Any:
        """Send an event and return what it is acknowledged with."""
        return self.answer(self.ask(*event))

    def ask(self, *event: Any) -> int:
        """Send an event and return the number of the acknowledgement to wait for."""
        self._last += 1
        self._emit(list(event), str(self._last))
        return self._last

    def answer(self, number: int) -> Any:
        """Wait for an acknowledgement."""
        while number not in self._acks:
            self._pump()
        return self._acks.pop(number)[0]

    def next(self, event: str) -> Any:
        """Wait for an event and return its payload."""
        while True:
            for found in self._events:
                if found[0] == event:
                    self._events.remove(found)
                    return found[1]
            self._pump()

    def train(self, value: float = 1.0, **other: Any) -> Any:
        """Wait to be asked, and answer at once; return the acknowledgement."""
        return self.call("training_complete", update(self.next("client_update")["round"], value, **other))

    def wait_closed(self) -> None:
        """Return once the server has closed the connection."""
        until = time.monotonic() + self.within
        try:
            while time.monotonic() < until:
                self._pump()
        except Closed:
            self.close()
            return
        raise AssertionError("the connection is still open")

    @property
    def connection(self) -> socket.socket:
        """What its bytes go through."""
        assert self.socket.sock
        return self.socket.sock

    def close(self) -> None:
        """Close the connection without a goodbye."""
        self.socket.shutdown()  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _emit(self, event: list[Any], number: str) -> None:
        attachments: list[bytes] = []

        def detach(value: Any) -> Any:
            if isinstance(value, bytes):
                attachments.append(value)
                return {"_placeholder": True, "num": len(attachments) - 1}
            if isinstance(value, dict):
                return {key: detach(item) for key, item in value.items()}
            return value

        body = json.dumps([detach(item) for item in event])
        self.send((f"45{len(attachments)}-" if attachments else "42") + number + body)
        for attachment in attachments:
            self.send(attachment)

    def _receive(self) -> str | bytes:
        try:
            frame = self.socket.recv()
        except websocket.WebSocketTimeoutException:
            raise AssertionError(f"nothing came for {self.within:g} s") from None
        except (OSError, websocket.WebSocketException) as error:
            raise Closed from error
        if frame == "":
            raise Closed
        return frame

    def _pump(self) -> None:
        frame = self._receive()
        assert isinstance(frame, str), "an attachment without its event"
        if frame == "2":
            self.send("3")
        elif frame == "6":
            self.noops += 1
        elif frame[:2] == "43":
            number, _, body = frame[2:].partition("[")
            self._acks[int(number)] = json.loads("[" + body)
        elif frame[:2] == "42":
            name, payload = json.loads(frame[2:])
            self._events.append((name, payload))
        elif frame[:2] == "45":
            count, _, body = frame[2:].partition("-")
            name, payload = json.loads(body)
            attachments = [self._receive() for _ in range(int(count))]
            self._events.append((name, _attach(payload, attachments)))
        elif frame[:2] == "41":
            self.close()
            raise Closed


def _attach(value: Any, attachments: list[Any]) -> Any:
    if isinstance(value, dict):
        if value.get("_placeholder"):
            return attachments[value["num"]]
        return {key: _attach(item, attachments) for key, item in value.items()}
    return value
