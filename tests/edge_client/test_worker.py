"""Every part of a client that has a thread is one kind of worker: begun, woken and ended alike."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bramble_client.agent import Agent
from bramble_client.hal import open_board
from bramble_client.settings import ClientSettings
from bramble_client.worker import Worker
from tests.edge_client.socketserver import Server


class Waiting(Worker):
    """Works until it is let go, whoever asks it to stop."""

    def __init__(self) -> None:
        super().__init__("waiting")
        self.go = threading.Event()
        self.woken = 0

    def run(self) -> None:
        self.go.wait(60)

    def wake(self) -> None:
        self.woken += 1


def test_one_that_never_began_has_ended() -> None:
    worker = Waiting()
    assert not worker.alive
    assert worker.stop(60)


def test_one_that_does_not_end_in_time_says_so_and_can_be_asked_again() -> None:
    worker = Waiting()
    worker.start()
    assert worker.alive
    assert not worker.stop(0.01)
    assert worker.woken == 1
    worker.go.set()
    assert worker.stop(60)
    assert not worker.alive


@pytest.mark.parametrize("connected", [True, False])
def test_the_parts_of_a_client_are_workers_and_each_ends_when_it_is_asked_to(connected: bool, server: Server, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    url = server.url if connected else "http://127.0.0.1:9"
    settings = ClientSettings(id="pi-1", server=url, sensors="mock", mode="private", reconnect_max=0.05)
    board = open_board("mock", seed="pi-1", every=settings.sample_every, live=False)
    agent = Agent(settings, board, tmp_path, None, None)
    try:
        assert set(threading.enumerate()) <= before, "nothing runs before it is begun"
        agent.start()
        assert agent._link.wait_up(30 if connected else 0) is connected
        assert agent.hangs() is None
        assert {worker.name for worker in agent._workers} == {"training", "forecaster", "cycles", "courier", "link", "reporter", "summing"}
        for worker in agent._workers:
            assert isinstance(worker, Worker)
            assert worker.stop(60), worker.name
            assert agent.hangs() is not None
    finally:
        agent.stop()
        board.close()
