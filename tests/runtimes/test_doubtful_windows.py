"""Windows that cannot be true are not trained on, on whichever runtime is installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bramble_client.learn.plausibility import Unbelievable
from bramble_client.learn.trainer import Trainer
from bramble_protocol.graph import GraphFile
from tests.runtimes.site import GRAPH, KEYS, Site, run, update


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path, lambda _: GRAPH.data, "pi-1")


def nonsense(site: Site, channel: str, kind: str) -> Site:
    """The site with one channel that is made up, or in another unit."""
    rng, column = np.random.default_rng(5), KEYS.index(channel)
    low, high = {"temperature": (-60, 85), "humidity": (0, 100), "pressure": (300, 1100)}[channel]
    values = site.values[:, column]
    made = {
        "noise": rng.uniform(low, high, len(values)),
        "a tenth": low + (high - low) * (0.5 + 0.1 * (rng.random(len(values)) - 0.5)),
        "flapping": np.where(np.arange(len(values)) % 2, low, high),
        "times a hundred": 100 * values,
    }
    site.values[:, column] = made[kind]
    return site


@pytest.mark.parametrize("channel", ["temperature", "pressure"])
@pytest.mark.parametrize("kind", ["noise", "a tenth", "flapping", "times a hundred"])
def test_readings_that_cannot_be_true_are_not_trained_on_and_said_once(
    trainer: Trainer, channel: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    site = nonsense(Site(300), channel, kind)
    for _ in range(2):
        with pytest.raises(Unbelievable, match=r"2[67]\d of 273 windows cannot be true: check this client's sensors and their units"):
            run(trainer, site=site)
    assert trainer.doubtful is not None
    assert trainer.doubtful >= 260
    assert len([record for record in caplog.records if "cannot be true" in record.message]) == 1
    run(trainer)
    assert trainer.doubtful == 0
    assert "nearly every window can be true again" in caplog.text


def test_windows_around_a_spike_are_left_out_and_the_rest_is_trained_on(trainer: Trainer) -> None:
    site = Site(300)
    site.values[150, 0] = 80.0
    result = run(trainer, site=site)
    # it is in 24 windows, and the target of one that it is not in
    assert trainer.doubtful == 25
    assert result.complete.samples == 273 - 25
    assert result.complete.metrics["test_samples"] == 273 - 25


def test_a_graph_without_an_opinion_doubts_nothing(tmp_path: Path) -> None:
    old = GraphFile.read((Path(__file__).parent / "references" / "climate-0.1.tflite").read_bytes())
    trainer = Trainer(tmp_path, lambda _: old.data, "pi-1")
    site = Site(300)
    site.values[150, 2] = 1090.0
    assert run(trainer, replace(update(), graph=old.sha256), site).complete.samples == 273
    assert trainer.doubtful is None
