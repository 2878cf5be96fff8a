"""What ``topk`` left of an answer, while a real client is killed, refused, reset or asked too soon: it is neither lost nor sent twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bramble_client.acquire.recorder import Recorder
from bramble_client.learn.local_state import LOCAL_STATE
from bramble_client.learn.trainer import Result, Trainer
from bramble_protocol.features import FEATURES
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import ClientUpdate, GenerateData
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.edge_client.socketserver import Server
from tests.waiting import wait_for

GRAPH = GraphFile.read(CLIMATE.read_bytes())
TAKEN, OVER = {"accepted": True}, {"accepted": False, "reason": "round over"}


def asking(number: int) -> ClientUpdate:
    manifest = GRAPH.manifest
    return ClientUpdate(number, "climate", GRAPH.sha256, manifest.layout, "float32", "topk-0.01", GRAPH.initial, manifest.config)


class Talk:
    """A server that asks one client, and keeps the attachments of its answers."""

    def __init__(self) -> None:
        self.socket = Server()
        self.socket.answer = self._answer
        self.on_answer: Callable[[], dict[str, Any]] = lambda: TAKEN
        """Called with each answer; returns the acknowledgement."""

    def _answer(self, event: str, data: Any) -> Any:
        return self.on_answer() if event == "training_complete" else TAKEN

    def ask(self, number: int) -> None:
        self.socket.sio.emit("client_update", asking(number).to_wire(FEATURES))

    def answers(self, count: int) -> list[tuple[int, bytes]]:
        def found() -> list[tuple[int, bytes]]:
            return [(data["round"], data["weights"]) for event, data in self.socket.heard if event == "training_complete"]

        return wait_for(lambda: len(found()) >= count and found(), f"{count} answers")

    def answer(self, number: int) -> bytes:
        """Return what was answered for a round, however often what came before was repeated."""
        return wait_for(lambda: dict(self.answers(1)).get(number), f"the answer for round {number}")


@pytest.fixture
def talk() -> Iterator[Talk]:
    made = Talk()
    yield made
    made.socket.stop()


def client(talk: Talk, folder: Path) -> ClientProcess:
    graphs = folder / "pi-1" / "graphs"
    graphs.mkdir(parents=True, exist_ok=True)
    (graphs / f"{GRAPH.sha256}.tflite").write_bytes(GRAPH.data)
    return ClientProcess(talk.socket.url, folder).wait_connected()


def measure(talk: Talk) -> None:
    talk.socket.sio.emit("generate_data", GenerateData(1, 1_672_531_200.0, 3600.0, 100).to_wire())
    wait_for(lambda: any(event == "data_update" for event, _ in talk.socket.heard), "the readings")


def expected(folder: Path, number: int, noted: Result | None = None) -> tuple[bytes, Result]:
    """What a client with these readings answers, if it goes on from a result; reckoned here, with a client that has ended."""
    asked = asking(number)
    with closing(Recorder(folder / "pi-1" / "readings.db", 10_000)) as recorder:
        result = Trainer(folder / "reckoned", lambda _: GRAPH.data, "pi-1").run(
            asked, recorder.columns, noted.tested_until if noted else None, noted=noted.local_state if noted else None
        )
    return result.complete.to_wire(replace(asked, model=asked.digest))["weights"], result


def kept(folder: Path) -> str | None:
    with closing(Recorder(folder / "pi-1" / "readings.db", 10_000)) as recorder:
        return recorder.get(LOCAL_STATE)


@pytest.mark.process
@pytest.mark.parametrize("said", [TAKEN, OVER], ids=["taken", "refused"])
def test_a_client_killed_before_it_hears_goes_on_by_what_it_hears_in_the_end(talk: Talk, tmp_path: Path, said: dict[str, Any]) -> None:
    with client(talk, tmp_path) as first:
        measure(talk)

        def kill() -> dict[str, Any]:
            first.kill()
            return TAKEN  # to nobody

        talk.on_answer = kill
        talk.ask(1)
        [(_, sent)] = talk.answers(1)
        first.process.wait(30)
    assert kept(tmp_path) is None, "nothing holds before the server has said so"
    talk.on_answer = lambda: said
    with client(talk, tmp_path) as second:
        assert talk.answers(2)[1] == (1, sent)
        wait_for(lambda: not second.waiting(), "what the server said")
        talk.on_answer = lambda: TAKEN
        talk.ask(2)
        after = talk.answer(2)
        wait_for(lambda: not second.waiting(), "the last answer to be taken")
        second.stop()
    reckoned, first_result = expected(tmp_path, 1)
    assert sent == reckoned
    reckoned, last = expected(tmp_path, 2, first_result if said is TAKEN else None)
    assert after == reckoned
    assert kept(tmp_path) == last.local_state


@pytest.mark.process
def test_a_request_that_overtakes_an_acknowledgement_waits_for_it_and_a_reset_forgets(talk: Talk, tmp_path: Path) -> None:
    with client(talk, tmp_path) as pi:
        measure(talk)
        asked = threading.Event()

        def overtake() -> dict[str, Any]:
            talk.on_answer = lambda: TAKEN
            talk.ask(2)
            pi.wait_log("round 2 of climate: training")
            asked.set()
            pi.wait_log("round 2 of climate: waits until the server says whether it took the last answer")
            return TAKEN

        talk.on_answer = overtake
        talk.ask(1)
        assert asked.wait(60)
        second = talk.answer(2)
        wait_for(lambda: not pi.waiting(), "both to be taken")
        talk.socket.sio.emit("reset", {"task": "climate"})
        pi.wait_log("results of task climate are forgotten")
        talk.ask(3)
        third = talk.answer(3)
        wait_for(lambda: not pi.waiting(), "the last to be taken")
        pi.stop()
    _, first_result = expected(tmp_path, 1)
    assert second == expected(tmp_path, 2, first_result)[0]
    assert third == expected(tmp_path, 3)[0]
