"""A place with readings, and a local run on them, for the tests that train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bramble_client.learn.trainer import Result, Trainer
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import ClientUpdate, TrainConfig

GRAPH = GraphFile.read((Path(__file__).parents[2] / "server/bramble_server/tasks/climate.tflite").read_bytes())
START = 1_672_531_200.0
KEYS = ("temperature", "humidity", "pressure")


class Site:
    """Hourly readings of a place with warm afternoons, as a recorder hands them out."""

    def __init__(self, hours: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        n = np.arange(hours)
        temperature = 12 + 6 * np.sin(n * 2 * np.pi / 24) + np.cumsum(rng.normal(0, 0.1, hours))
        self.times = np.asarray(START + 3600.0 * n, np.float64)
        self.values = np.stack([temperature, 90 - 2 * temperature, 1000 + np.cumsum(rng.normal(0, 0.3, hours))], 1)

    def columns(self, keys: Sequence[str], since: float | None) -> tuple[np.ndarray, np.ndarray]:
        assert tuple(keys) == KEYS
        assert since is None
        return self.times, self.values

    def until(self, hours: int) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
        return lambda keys, since: (self.times[:hours], self.values[:hours])


def update(**config: object) -> ClientUpdate:
    return ClientUpdate(
        round=3,
        task="climate",
        graph=GRAPH.sha256,
        layout=GRAPH.manifest.layout,
        encoding="float32",
        reply_encoding="float32",
        weights=GRAPH.initial,
        config=replace(TrainConfig(batch_size=16, learning_rate=0.05), **config),  # type: ignore[arg-type]
    )


def run(trainer: Trainer, asked: ClientUpdate | None = None, site: Site | None = None, tested_until: float | None = None) -> Result:
    return trainer.run(asked or update(), (site or Site(300)).columns, tested_until)
