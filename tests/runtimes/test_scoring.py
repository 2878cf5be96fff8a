"""Models tried on what they were not trained on, with the climate graph: which windows these are, in evaluation and in private mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_client.acquire.recorder import Recorder
from bramble_client.allowance import Allowance, Bounds
from bramble_client.deliver.outbox import Outbox
from bramble_client.evaluating import Evaluating
from bramble_client.learn.trainer import Trainer
from bramble_client.machine.strain import Strain
from bramble_client.participation import Participation
from bramble_client.use.attention import Attention
from bramble_client.use.latest import Latest
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Evaluate, model_name
from tests.runtimes.site import GRAPH, KEYS, Site, update
from tests.waiting import wait_for

SITE = Site(400)
NAME = model_name(GRAPH.manifest.layout, GRAPH.initial, "float32")


def asking(trained: int = 9, **other: Any) -> Evaluate:
    models = {NAME: GRAPH.initial}
    return replace(Evaluate(1, "climate", GRAPH.sha256, GRAPH.manifest.layout, "float32", models, trained, 60.0), **other)


class Client:
    """Has measured so many hours."""

    def __init__(self, folder: Path, private: bool) -> None:
        self.recorder, self.outbox = Recorder(folder / "readings.db", 10_000), Outbox(folder / "outbox.db")
        self.halted: str | None = None
        self.trainer = Trainer(folder, lambda _: GRAPH.data, "pi-1")
        self.part = Participation(
            self.trainer, self.recorder, self.outbox, None, Strain(folder), lambda: self.halted,
            Latest(folder / "latest.json", "pi-1", time.time), Attention((), 0, tuple, self.recorder),
            Allowance(folder, Bounds()), private=private, serves=lambda graph: True, clock=time,
        )  # fmt: skip
        self._evaluating = Evaluating(self.trainer, self.recorder, self.outbox, self.part, lambda: self.halted, private, None, time)
        self._measured = 0
        self.part.queue.start()

    def measured(self, hours: int) -> None:
        rows = zip(SITE.times[self._measured : hours].tolist(), SITE.values[self._measured : hours].tolist(), strict=True)
        self.recorder.append_many([(t, dict(zip(KEYS, row, strict=True))) for t, row in rows])
        self._measured = hours

    def answer(self, asked: Evaluate) -> dict[str, Any]:
        self._evaluating.ask(asked)
        item = wait_for(self.outbox.answer, "an answer")
        self.outbox.remove(item)
        assert (item.event, item.task) == ("evaluated", "climate evaluation")
        return dict(item.payload)

    def close(self) -> None:
        self.part.queue.stop(60)
        self.trainer._runner.close()
        self.recorder.close()
        self.outbox.close()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Callable[[bool], Client]]:
    made: list[Client] = []

    def make(private: bool) -> Client:
        made.append(Client(tmp_path, private))
        return made[-1]

    yield make
    for each in made:
        with closing(each):
            pass


def test_each_model_is_tried_on_what_came_after_its_own_last_training(client: Callable[[bool], Client]) -> None:
    pi = client(False)
    pi.measured(200)
    for number, hours in ((3, 100), (5, 150)):
        pi.part.memory.trained.note("climate", number, float(SITE.times[hours - 1]))
    windows = {trained: pi.answer(asking(trained))["samples"] for trained in (2, 3, 4, 5, 100)}
    assert windows[3] == windows[4] == windows[5] + 50
    assert windows[5] == windows[100] > 40
    assert windows[2] > windows[3] + 50


def test_its_errors_are_those_of_test_then_train(client: Callable[[bool], Client]) -> None:
    pi = client(False)
    pi.measured(200)
    until = float(SITE.times[149])
    pi.part.memory.trained.note("climate", 3, until)
    found = pi.answer(asking())
    metrics = pi.trainer.run(update(), pi.recorder.columns, until).complete.metrics
    assert (found["samples"], found["baseline"]) == pytest.approx((metrics["test_samples"], metrics["test_baseline"]))
    assert found["errors"] == pytest.approx({NAME: metrics["test_error"]})


def test_in_private_mode_windows_are_told_of_by_twenties_since_the_last_training(client: Callable[[bool], Client]) -> None:
    pi, told = client(True), []
    pi.measured(150)
    trained = pi.part.memory.trained
    trained.note("climate", 3, float(SITE.times[60]))
    trained.note("climate", 5, float(SITE.times[100]))
    for hours in (152, 155, 168, 171, 180):
        pi.measured(hours)
        told.append(pi.answer(asking(3))["samples"])
    assert [count % 20 for count in told] == [0] * 5
    assert told == sorted(told)
    assert told[-1] > told[0]
    until = trained.scored_until("climate")
    assert until is not None
    assert np.count_nonzero((SITE.times > SITE.times[100]) & (SITE.times <= until + 1800)) == told[-1]


@pytest.mark.parametrize("private", [True, False])
def test_what_was_told_of_is_tested_in_no_round_in_private_mode(client: Callable[[bool], Client], private: bool) -> None:
    pi = client(private)
    pi.measured(170)
    until = float(SITE.times[100])
    pi.part.memory.note("climate", {"tested_until": until})
    pi.part.memory.trained.note("climate", 5, until)
    scored = pi.answer(asking())["samples"]
    metrics = pi.part._train(update(), time.time()).complete.metrics
    new = 170 - 101 - 1  # the newest bin may be filling
    assert scored == (60 if private else new)
    assert metrics.get("test_samples") == (None if private else new), "eight are too few to be told of by themselves"


def test_in_private_mode_fewer_than_twenty_are_not_told_of(client: Callable[[bool], Client]) -> None:
    pi = client(True)
    pi.measured(120)
    pi.part.memory.trained.note("climate", 3, float(SITE.times[105]))
    assert "windows are new since this client trained, of 20 needed" in pi.answer(asking())["reason"]
    assert pi.part.memory.trained.scored_until("climate") is None


@pytest.mark.parametrize(
    ("hours", "halted", "change", "why"),
    [
        (10, None, {}, "no training window"),
        (150, None, {"layout": Layout.of([("other", [3])])}, "graph: its layout has"),
        (150, None, {"models": {"f" * 16: np.full_like(GRAPH.initial, 1e17)}}, "gives no number here"),
        (150, "not now: hours", {}, "not now: hours"),
    ],
)
def test_what_cannot_be_tried_is_answered_with_the_reason(
    client: Callable[[bool], Client], hours: int, halted: str | None, change: dict[str, Any], why: str
) -> None:
    pi = client(False)
    pi.measured(hours)
    pi.halted = halted
    assert why in pi.answer(asking(**change))["reason"]
