"""Clients that answer every ``client_update`` at once with its own weights: ``python -m bench.answering URL COUNT PREFIX``.

Says "connected" once all are. At "report" on its input it says as JSON what happened since the last report.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import socketio  # type: ignore[import-untyped]

import bramble_protocol
from bench.loopback import many_files
from bramble_protocol.features import FEATURES
from bramble_protocol.messages import Channel, Handshake

CHANNELS = (Channel("temperature", "°C"), Channel("humidity", "%"), Channel("pressure", "hPa"))
AT_A_TIME = 20
"""Handshakes under way at the same moment."""


class Answering:
    """Some clients of one process, and what they saw."""

    def __init__(self) -> None:
        self.clients: list[socketio.AsyncClient] = []
        self.seen: dict[str, Any] = {}
        self.fresh()

    def fresh(self) -> dict[str, Any]:
        """Start to count anew; return what was counted."""
        former, self.seen = self.seen, {"asked": [], "answered": [], "accepted": 0, "refused": [], "disconnects": 0}
        return former

    async def connect(self, url: str, name: str, first: bool) -> None:
        """Connect one client. The first notes when it was asked and when its answer was taken."""
        client = socketio.AsyncClient(reconnection=False)

        async def ask(update: dict[str, Any]) -> None:
            if first:
                self.seen["asked"].append(time.monotonic())
            now = time.time()
            answer = {
                **{key: update[key] for key in ("round", "model", "encoding", "weights")},
                "samples": 100,
                "metrics": {"loss_before": 1.0, "loss_after": 0.5},
                "timing": {"received": now, "train_start": now, "train_end": now},
            }
            await client.emit("training_complete", answer, callback=taken)

        def taken(reply: dict[str, Any]) -> None:
            if first:
                self.seen["answered"].append(time.monotonic())
            self.seen["accepted"] += bool(reply["accepted"])
            if not reply["accepted"]:
                self.seen["refused"].append(reply["reason"])

        def gone(*_: Any) -> None:
            self.seen["disconnects"] += 1

        client.on("client_update", ask)
        client.on("disconnect", gone)
        auth = Handshake(bramble_protocol.VERSION, name, simulated=True, channels=CHANNELS, version="bench", features=FEATURES).to_wire()
        await client.connect(url, auth=auth, transports=["websocket"], wait_timeout=60)
        self.clients.append(client)


async def run(url: str, count: int, prefix: str) -> None:
    """Connect, then report whenever asked, until the input ends."""
    answering, slots = Answering(), asyncio.Semaphore(AT_A_TIME)

    async def connect(index: int) -> None:
        async with slots:
            await answering.connect(url, f"{prefix}-{index}", index == 0)

    await asyncio.gather(*(connect(index) for index in range(count)))
    print("connected", flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        print(json.dumps(answering.fresh()), flush=True)


if __name__ == "__main__":
    many_files()
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
