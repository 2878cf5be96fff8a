from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bramble_client.agent import Agent
    from tests.edge_client.agents import Make
    from tests.edge_client.socketserver import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A Socket.IO server of this process, which keeps what it hears."""
    from tests.edge_client.socketserver import Server  # most tests of the wing need no Socket.IO

    made = Server()
    yield made
    made.stop()


@pytest.fixture
def make(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes agents that have started, of one client of that server."""
    from bramble_client.agent import Agent
    from bramble_client.hal import open_board
    from bramble_client.settings import ClientSettings
    from tests.edge_client.agents import GRAPH

    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    agents: list[tuple[Agent, Any]] = []

    def build(sensors: str = "mock", mode: str = "evaluation", graph: bool = True, **other: Any) -> Agent:
        settings = ClientSettings(id="pi-1", server=server.url, sensors=sensors, mode=mode, reconnect_max=0.05, **other)
        if graph:
            (tmp_path / "graphs").mkdir(exist_ok=True)
            (tmp_path / "graphs" / f"{GRAPH.sha256}.tflite").write_bytes(GRAPH.data)
        board = open_board("mock", seed="pi-1", every=settings.sample_every, live=settings.self_paced)
        agent = Agent(settings, board, tmp_path, "s3cret", None)
        agents.append((agent, board))
        agent.start()
        assert agent._link.wait_up(30)
        return agent

    yield build
    for agent, board in agents:
        agent.stop()
        board.close()
