"""What a round costs is counted in calls, statements and bytes: it grows with its clients and their weights, and no faster."""

from __future__ import annotations

import math
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_protocol.layout import Layout
from bramble_protocol.messages import Delivery, Timing, TrainingComplete
from bramble_server.learning.judge import Judge
from bramble_server.learning.strategies.fedavg import FedAvg
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.roundfile import Header, RoundFile
from bramble_server.store import Store
from bramble_server.store.models import UNKNOWN
from tests.server.database import migrated
from tests.server.statements import before_each

SLOPE = 1.05
"""Of the logarithm of the work over that of what there is to do."""


def work(folder: Path, monkeypatch: pytest.MonkeyPatch, clients: int, parameters: int) -> Counter[str]:
    """Count what the second of two rounds does, from its opening to its commit: the first one warms up."""
    folder.mkdir()
    counted = Counter[str]()
    store, layout, model = Store(migrated(folder)), Layout.of([("w", [parameters])]), np.zeros(parameters, np.float32)
    names = tuple(f"pi-{index}" for index in range(clients))
    write = os.pwrite

    def written(file: int, data: Any, at: int) -> int:
        count = write(file, data, at)
        counted["bytes"] += count
        return count

    def one(number: int) -> None:
        header = Header(number, "0" * 64, "evaluation", parameters, names, 100.0, 160.0)
        open_round = OpenRound("some", RoundFile.create(folder / f"{number}.round", header), model, FedAvg())
        with store.writing() as connection:
            open_round.opened(connection, 100)
        for name in names:
            update = TrainingComplete(number, layout, "float32", model + np.float32(1e-3), 10, {"loss_after": 1.0}, Timing(1.0, 2.0, 3.0))
            open_round.take([(name, Delivery.from_wire(update.to_wire(), layout), None)])
            open_round.fold(name)
        aggregate, pooled = open_round.aggregate(Judge(), 1)
        open_round.commit(store, aggregate.weights, UNKNOWN, pooled, 5)
        open_round.close()

    def seen(frame: Any, what: str, argument: object) -> None:
        counted["calls"] += what in ("call", "c_call")

    def line(frame: Any, what: str, argument: object) -> Any:
        counted["lines"] += what == "line"  # each turn of a loop is one, where it calls nothing too
        return line

    one(1)
    with monkeypatch.context() as patch, before_each(lambda: counted.update(statements=1), store._writer):
        patch.setattr(os, "pwrite", written)
        former = sys.getprofile(), sys.gettrace()
        sys.setprofile(seen)
        sys.settrace(line)
        try:
            one(2)
        finally:
            sys.settrace(former[1])
            sys.setprofile(former[0])
    store.close()
    return counted


def slope(few: int, many: int, times: float) -> float:
    return math.log(many / few) / math.log(times)


def test_it_grows_with_the_clients_and_no_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few, more, many = (work(tmp_path / str(count), monkeypatch, count, 100) for count in (50, 100, 200))
    for what in ("calls", "lines", "bytes"):  # what further clients cost, so that nothing hides behind what each of them does
        assert slope(more[what] - few[what], many[what] - more[what], 2) <= SLOPE, what
    assert many["statements"] == few["statements"], "whatever the number of clients"


@pytest.mark.slow
def test_it_grows_with_the_weights_and_no_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (work(tmp_path / str(size), monkeypatch, 3, size) for size in (300_000, 2_400_000))
    assert slope(small["calls"], large["calls"], 8) <= SLOPE
    assert slope(small["bytes"], large["bytes"], 8) <= SLOPE
    assert large["statements"] == small["statements"]
    assert large["bytes"] < 1.1 * (3 + 1) * 4 * 2_400_000, "weights are written once, three updates and the model"
