"""A client whose runs of a task failed stops to say so once nobody serves that task any more."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from bramble_client.agent import Agent
from bramble_client.hal import open_board
from bramble_client.hal.gpio import Status
from bramble_client.settings import ClientSettings
from tests.second_task import CLIMATE, later
from tests.server.process import ServerProcess
from tests.waiting import wait_for

ONE = ("--min-clients", "1", "--task", str(CLIMATE))


def settled(agent: Agent) -> Status:
    """What the lamp says once nothing is trained any more: a run has its last things to do when the server already has its result."""
    wait_for(lambda: agent.status() is not Status.TRAINING, "the run to end")
    return agent.status()


def test_the_lamp_is_red_for_a_task_that_fails_as_long_as_it_is_served(tmp_path: Path) -> None:
    both = (*ONE, "--task", str(later(tmp_path)), "--track", "later.learning_rate=1000")
    with ExitStack() as stack:
        server = ServerProcess(tmp_path, *both)
        stack.callback(lambda: server.stop())
        board = open_board("mock", seed="pi-1")
        stack.callback(board.close)
        settings = ClientSettings(id="pi-1", server=server.url, sensors="mock", reconnect_max=0.05)
        agent = Agent(settings, board, tmp_path, None, None)
        stack.callback(agent.stop)
        agent.start()
        wait_for(lambda: server.api.status()["able"] == 1, "the client")
        server.measure(200)
        assert server.ended(server.api.start("later")["round"])["state"] == "abandoned"
        assert server.play()["state"] == "committed"
        assert settled(agent) is Status.ERROR, "another task's success does not mend it"

        server.stop()
        server = ServerProcess(tmp_path, *both, port=server.port)
        wait_for(lambda: server.api.status()["able"] == 1, "the client to be back")
        assert server.play()["state"] == "committed"
        assert settled(agent) is Status.ERROR, "it is still served"

        server.stop()
        server = ServerProcess(tmp_path, *ONE, port=server.port)
        wait_for(lambda: agent.status() is Status.CONNECTED, "the lamp to say that all is well")
