"""What bench/answering.py is to Bramble's server, to Flower's: ``python flower_clients.py URL CLIENTS``, in Flower's environment.

Each client has a connection of its own, and gives every ``fit`` its own weights back at once, without a look at them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import grpc
from flwr.proto.transport_pb2 import ClientMessage, Code, ServerMessage, Status
from flwr.proto.transport_pb2_grpc import FlowerServiceStub

LARGEST = 1 << 29
OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),  # or else the clients of one process share a connection
    ("grpc.max_receive_message_length", LARGEST),
    ("grpc.max_send_message_length", LARGEST),
]


def answer(asked: ServerMessage) -> ClientMessage:
    """Return what a client says that learned nothing from a hundred samples."""
    reply = ClientMessage()
    reply.fit_res.status.CopyFrom(Status(code=Code.OK))
    reply.fit_res.parameters.CopyFrom(asked.fit_ins.parameters)
    reply.fit_res.num_examples = 100
    return reply


async def take_part(url: str, asked: list[float] | None, connected: asyncio.Event) -> None:
    """Be one client. The first notes when it was asked."""
    async with grpc.aio.insecure_channel(url.removeprefix("http://"), options=OPTIONS) as channel:
        stream = FlowerServiceStub(channel).Join(wait_for_ready=True)
        await stream.wait_for_connection()
        connected.set()
        async for message in stream:
            if message.WhichOneof("msg") != "fit_ins":
                raise RuntimeError(f"no round: {message.WhichOneof('msg')}")
            if asked is not None:
                asked.append(time.monotonic())
            await stream.write(answer(message))


async def run(url: str, count: int) -> None:
    """Connect, then report whenever asked, until the input ends."""
    asked: list[float] = []
    connected = [asyncio.Event() for _ in range(count)]
    clients = [asyncio.create_task(take_part(url, None if index else asked, event)) for index, event in enumerate(connected)]
    while not all(event.is_set() for event in connected):
        if ended := [client for client in clients if client.done()]:
            await ended[0]
        await asyncio.sleep(0.01)
    print("connected", flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        print(json.dumps({"asked": asked}), flush=True)
        asked.clear()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
