"""What a round costs at least: a bare Flask-SocketIO server that sends the same bytes and takes the same answers.

``python -m bench.echo CLIENTS ROUNDS PARAMETERS own|stock``: the WebSocket is Bramble's own or Flask-SocketIO's usual one.
It speaks just enough of the contract that the same clients can talk to it, and does nothing with what they say.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from flask import Flask
from flask_socketio import SocketIO  # type: ignore[import-untyped]
from gevent.lock import BoundedSemaphore, RLock  # type: ignore[import-untyped]

from bench.loopback import write_graph
from bramble_protocol.features import FEATURES
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import ClientUpdate
from bramble_server.transport.arriving import Limits
from bramble_server.transport.gevent import engine
from bramble_server.transport.sessions import OPTIONS
from bramble_server.transport.websocket import WebSockets


def serve(clients: int, rounds: int, parameters: int, websocket: str) -> None:
    """Run so many rounds with so many clients, one after the other, then stay."""
    app = Flask("echo")
    largest = 8 * parameters + (1 << 20)
    sio = SocketIO(app, async_mode="gevent", max_http_buffer_size=largest, **OPTIONS)
    if websocket == "own":
        WebSockets(Limits(largest, 1 << 20, 30.0, 30.0, BoundedSemaphore(16)), lambda _: True, lambda *_: None, RLock).attach(
            sio.server.eio
        )
    with tempfile.TemporaryDirectory() as folder:
        graph = GraphFile.read(write_graph(Path(folder), parameters).read_bytes())
    manifest = graph.manifest
    asked = ClientUpdate(1, manifest.task, graph.sha256, manifest.layout, "float32", "float32", graph.initial, manifest.config)
    update = asked.to_wire(FEATURES)
    state = {"connected": 0, "answers": 0, "round": 0}

    def ask() -> None:
        if state["round"] < rounds:
            state.update(answers=0, round=state["round"] + 1)
            sio.emit("client_update", {**update, "round": state["round"]})

    @sio.on("connect")  # type: ignore[untyped-decorator]
    def connect(auth: Any) -> None:
        state["connected"] += 1
        if state["connected"] == clients:
            sio.start_background_task(ask)

    @sio.on("training_complete")  # type: ignore[untyped-decorator]
    def training_complete(answer: Any) -> dict[str, bool]:
        state["answers"] += 1
        if state["answers"] == clients:
            sio.start_background_task(ask)
        return {"accepted": True}

    listener = engine.Listener(app, "127.0.0.1", 0, lambda *_, **__: None)
    listener.start()
    print(f"echo ready on http://127.0.0.1:{listener.port}", flush=True)
    engine.wait_for_signal()
    listener.stop()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
