"""A training whose runs are gates that the tests open."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import numpy as np

from bramble_client.deliver.outbox import Outbox
from bramble_client.learn.trainer import Result
from bramble_client.learn.training_queue import TrainingQueue
from bramble_protocol.layout import Layout
from bramble_protocol.messages import ClientUpdate, Timing, TrainConfig, TrainingComplete
from tests.waiting import wait_for

LAYOUT = Layout.of([("dense/kernel", [2, 2])])


def request(number: int, weight: float = 0.0, task: str = "small", **config: Any) -> ClientUpdate:
    weights = np.full(LAYOUT.size, weight, np.float32)
    return ClientUpdate(number, task, "0" * 64, LAYOUT, "float32", "float32", weights, TrainConfig(**config))


class Bench:
    """A training room whose runs begin and end when the test says so."""

    def __init__(self, path: Path) -> None:
        self.outbox = Outbox(path)
        self.begun: queue.Queue[ClientUpdate] = queue.Queue()
        self.outcome: queue.Queue[BaseException | float] = queue.Queue()
        self.trained: list[tuple[int, float]] = []
        self.runs = 0
        self.training = TrainingQueue(self._train, self.outbox, self._note)
        self.training.start()

    def _train(self, update: ClientUpdate, received: float) -> Result:
        self.runs += 1
        self.begun.put(update)
        outcome = self.outcome.get(timeout=60)
        if isinstance(outcome, BaseException):
            raise outcome
        weights = update.weights + np.float32(outcome)
        complete = TrainingComplete(update.round, LAYOUT, "float32", weights, 7, {"loss_after": 1.0}, Timing(received, received, received))
        return Result(complete, [], outcome)

    def _note(self, update: ClientUpdate, result: Result) -> None:
        self.trained.append((update.round, result.tested_until))

    def wait_begun(self, number: int) -> None:
        assert self.begun.get(timeout=60).round == number

    def answer(self) -> Any:
        """Wait for an answer in the outbox."""
        return wait_for(self.outbox.answer, "an answer")

    def wait_idle(self) -> None:
        wait_for(lambda: self.training._running is None, "the run to end")

    def close(self) -> None:
        self.outcome.put(0.0)
        self.outcome.put(0.0)
        assert self.training.stop(60)
        self.outbox.close()
