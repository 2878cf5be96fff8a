"""A server at work for one client hears and answers all others: whatever takes long is done beside the event loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_protocol.layout import Layout
from tests.server.pi import Pi, hello, update
from tests.server.process import ROOT, ServerProcess
from tests.waiting import wait_for

STALLING = ROOT / "tests" / "server" / "transport" / "stalling.py"
DIFFERING = ROOT / "tests" / "server" / "transport" / "differing.py"
BEFORE = ["an update is decoded", "an update is measured", "an update is put aside", "the disk is told to keep it"]
AFTER = [
    "an update is folded",
    "an update is compared with the new model",
    "the new model is stored",
    "files that nobody needs are deleted",
]


def onlooker(server: ServerProcess, name: str) -> Pi:
    """Connect a client that no round asks."""
    return Pi(server.url, auth=hello(name, channels=[]), within=600.0)


@pytest.mark.parametrize("point", [*BEFORE, *AFTER])
def test_while_it_stands_still_others_come_and_are_answered(tmp_path: Path, point: str) -> None:
    stalls, go = tmp_path / "stalls", tmp_path / "go"
    with (
        ServerProcess(tmp_path, script=STALLING, STALL=point, STALLS=str(stalls), GO=str(go)) as server,
        Pi(server.url, "a") as a,
        Pi(server.url, "b") as b,
        onlooker(server, "before") as before,
    ):
        number = server.api.start()["round"]
        first = (a,) if point in BEFORE else (a, b)  # the last of a round is told that it is kept by its commit
        asked = [(pi, pi.ask("training_complete", update(number))) for pi in first]
        wait_for(stalls.exists, point)
        assert before.call("health", {"sent": 1.0}) == {"accepted": True}
        with onlooker(server, "meanwhile") as meanwhile:
            assert meanwhile.call("health", {"sent": 1.0}) == {"accepted": True}
        status = server.api.status()
        if point in BEFORE:
            assert status["waiting_for"] == ["a", "b"], "neither is taken yet"
        go.touch()
        asked += [(pi, pi.ask("training_complete", update(number))) for pi in (a, b) if pi not in first]
        assert [pi.answer(which) for pi, which in asked] == [{"accepted": True}] * 2
        wait_for(lambda: server.api.status()["round"] == number, "the round to commit")


LARGE = Layout.of([("dense/kernel", [1000, 9_999]), ("dense/bias", [1000])])
CLIENTS = 20


@contextmanager
def onlooking(pi: Pi, seen: list[str]) -> Iterator[None]:
    """Have a client be answered again and again, in the order in which it asks, and note each time in the list."""
    over = threading.Event()

    def look_on() -> None:
        while not over.is_set():
            asked = [pi.ask("health", {"sent": 1.0}) for _ in range(3)]
            assert pi.answer(asked[-1]) == {"accepted": True}
            assert [number for number in pi._acks if number in asked] == asked[:-1], "those before it were answered before"
            pi._acks.clear()
            seen.append("heard")
            over.wait(0.1)

    thread = threading.Thread(target=look_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.load
@pytest.mark.timeout(900)
def test_while_20_updates_of_10_million_parameters_arrive_others_are_heard_however_each_is_to_train(tmp_path: Path) -> None:
    """Half of them read sections, and each is sent a way of training of its own with the model."""
    weights = np.ones(LARGE.size, "<f4").tobytes()
    seen: list[str] = []
    epochs = set[int]()

    def take_part(pi: Pi) -> None:
        asked = pi.next("client_update")
        number = asked["round"]
        epochs.add(asked["config"]["epochs"])
        del asked
        pi._events.clear()
        answer = pi.call("training_complete", update(number, layout=LARGE.to_wire(), weights=weights))
        seen.append("acknowledged" if answer == {"accepted": True} else str(answer))

    with ServerProcess(tmp_path, "--deadline", "10m", layout=LARGE, script=DIFFERING) as server, ExitStack() as stack:
        speak: list[dict[str, Any]] = [{}, {"protocol": 2, "features": ["sections"]}]
        names = [f"pi-{index:02}" for index in range(CLIENTS)]
        hellos = [hello(name, **speak[index % 2]) for index, name in enumerate(names)]
        pis = [stack.enter_context(Pi(server.url, auth=auth, within=600.0)) for auth in hellos]
        onlooker_ = stack.enter_context(onlooker(server, "onlooker"))
        threads = [threading.Thread(target=take_part, args=(pi,)) for pi in pis]
        with onlooking(onlooker_, seen):
            number = server.api.start()["round"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert seen.count("acknowledged") == CLIENTS
        assert epochs == {*range(1, CLIENTS + 1)}
        first, last = seen.index("acknowledged"), len(seen) - 1 - seen[::-1].index("acknowledged")
        assert "heard" in seen[:first], "while they arrived"
        assert "heard" in seen[first:last], "while others were taken"
        wait_for(lambda: server.api.status()["round"] == number, "the round to commit")
        assert server.api.round(number)["updates"] == CLIENTS
