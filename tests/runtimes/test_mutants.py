"""Damaged graphs in the training process: whatever they do there, the client goes on and trains the next one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bramble_client.learn.runner import Runner
from bramble_client.learn.trainer import Trainer
from bramble_protocol import BrambleError
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import ClientUpdate

GRAPH = GraphFile.read((Path(__file__).parents[2] / "server/bramble_server/tasks/climate.tflite").read_bytes())
COUNT = 150
"""The benchmark of the same name tries ten thousand."""


def damaged(number: int) -> GraphFile:
    """The same number gives the same damage: some words of the flatbuffer are others."""
    choose, data = random.Random(number), bytearray(GRAPH.flatbuffer)
    for _ in range(choose.randint(1, 3)):
        at = 4 * choose.randrange(len(data) // 4)
        word = choose.choice((choose.randrange(64), choose.getrandbits(31), at, 0, 0xFFFFFFFF))
        data[at : at + 4] = word.to_bytes(4, "little")
    return GraphFile.pack(bytes(data), GRAPH.manifest, GRAPH.initial)


def readings(keys: Sequence[str], since: float | None) -> tuple[np.ndarray, np.ndarray]:
    n = np.arange(60)
    return 3600.0 * n, np.stack([12 + 6 * np.sin(n / 4), 60 - np.sin(n / 4), 1000 + np.cos(n / 9)], 1)


class Client:
    """A trainer that is asked for one graph after the other."""

    def __init__(self, folder: Path) -> None:
        self.runner = Runner(memory_mb=512)
        self.graph = GRAPH
        self.trainer = Trainer(folder, lambda _: self.graph.data, "pi-1", self.runner)

    def train(self, graph: GraphFile, seconds: float) -> float:
        """Return the loss that a run on a graph ends with."""
        self.graph = graph
        config = replace(graph.manifest.config, deadline_s=seconds)
        update = ClientUpdate(1, "climate", graph.sha256, graph.manifest.layout, "float32", "float32", graph.initial, config)
        return self.trainer.run(update, readings, None).complete.metrics["loss_after"]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path)
    yield made
    made.runner.close()


def test_no_damaged_graph_ends_the_client_or_spoils_the_next_run(client: Client) -> None:
    right = client.train(GRAPH, 60)
    refused = 0
    for number in range(COUNT):
        try:
            client.train(damaged(number), 2)
        except BrambleError:  # anything else would be the client's own failure
            refused += 1
    assert refused > COUNT // 4
    assert client.train(GRAPH, 60) == right


@pytest.mark.parametrize(
    "found", [{}, {"loss": np.zeros(2, np.float32)}, {"loss": np.zeros((), np.float64)}, {"loss": np.zeros((), np.int32)}]
)
def test_results_that_the_manifest_does_not_promise_are_refused_by_name(client: Client, found: dict[str, np.ndarray]) -> None:
    client.train(GRAPH, 60)
    others = {"error": np.zeros((), np.float32), "baseline": np.zeros((), np.float32), "doubt": np.zeros(33, np.float32)}
    client.runner._ask = lambda *_: {**others, **found}  # type: ignore[method-assign]
    with pytest.raises(BrambleError, match=r"graph: its result loss should be float32 of shape \[\] and is"):
        client.train(GRAPH, 60)
