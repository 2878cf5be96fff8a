"""What tests of an agent say to it, and hear of it, as its server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bramble_client.agent import Agent
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import ClientUpdate, GenerateData
from tests.edge_client.process import CLIMATE
from tests.edge_client.socketserver import Server
from tests.waiting import wait_for

GRAPH = GraphFile.read(CLIMATE.read_bytes())
START = 1_672_531_200.0
Make = Callable[..., Agent]


def update(number: int = 1, **other: Any) -> dict[str, Any]:
    manifest = GRAPH.manifest
    message = ClientUpdate(number, "climate", GRAPH.sha256, manifest.layout, "float32", "float32", GRAPH.initial, manifest.config)
    return {**message.to_wire(), **other}


def heard(server: Server, event: str, count: int = 1) -> list[Any]:
    """Wait until the server has heard so many events of a name; return their payloads."""
    return wait_for(lambda: len(found := [data for name, data in server.heard if name == event]) >= count and found, f"{count} {event}")


def always(answer: Any) -> Callable[[str, Any], Any]:
    return lambda event, data: answer


def give_data(server: Server, count: int = 60, cycle: int = 1) -> None:
    server.sio.emit("generate_data", GenerateData(cycle, START, 3600.0, count).to_wire())
    wait_for(lambda: any(data["cycle"] == cycle for data in heard(server, "data_update")), "the readings")
