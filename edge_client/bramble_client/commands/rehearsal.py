"""A round in small, held without a server: whether this client can train, found out by the very code that a round runs.

A client is wired as always, in a folder that is gone afterwards, and asked as a server would ask it. The one that may be running
beside it is not touched: of its readings the newest are copied.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bramble_client.acquire.recorder import Sample
from bramble_client.agent import Agent
from bramble_client.hal import open_board
from bramble_client.hal.sim import recordings
from bramble_client.hal.sim.world import Layered, Synthetic
from bramble_client.learn import builtin
from bramble_client.learn.windows import windows
from bramble_protocol import BrambleError, reasons, released
from bramble_protocol.graph import GraphFile, Manifest
from bramble_protocol.messages import ClientUpdate, TrainingComplete, TrainingFailed

if TYPE_CHECKING:
    from bramble_client.settings import ClientSettings

WITHIN_S = 60.0
"""Longest that it may take; a Pi needs some seconds."""
GRACE_S = 2.0
"""Longer than the training process has, so that what hangs there is ended, and named, by the client."""
BINS = 120
"""Bins of time that are trained on."""
SAMPLES = 20_000
"""Most readings that are copied, the newest."""


def train(settings: ClientSettings) -> str:
    """Train once, on this client's newest readings if they make a window, else on recorded weather; return what was done, in words.

    Raises
    ------
    BrambleError
        If the training fails, does not end, or makes what no server would take.
    """
    graph = _graph(settings)
    own = _own(settings.folder / "readings.db", graph.manifest)
    if own:
        with _quiet():
            answer = _answer(settings, graph, own)
        # The release is not to blame for a sensor: others' weather shows what it can do.
        if not (isinstance(answer, str) and (reasons.too_little(answer) or reasons.doubtful(answer))):
            return _told(answer, graph, "its own readings")
    graph = builtin.weather_graph()
    with _quiet():
        answer = _answer(settings, graph, _recorded(settings.id, graph.manifest))
    return _told(answer, graph, "recorded weather")


TOLD_NOBODY: dict[str, Any] = {"secure": False, "clip": None, "noise": None, "epsilon": None}
"""What an owner asks of answers that leave the client; this one does not, and is to be seen as it is."""


def _told(answer: TrainingComplete | str, graph: GraphFile, what: str) -> str:
    if isinstance(answer, str):
        raise BrambleError(f"training fails on {what}: {answer}")
    if np.array_equal(answer.weights, graph.initial):
        raise BrambleError(f"training on {what} changes nothing; this release cannot take part in a round")
    seconds = answer.timing.train_end - answer.timing.train_start
    return f"trains task {graph.manifest.task} on {answer.samples} windows of {what}, in {seconds:.1f} s"


def _answer(settings: ClientSettings, graph: GraphFile, samples: list[Sample]) -> TrainingComplete | str:
    """Return what a server would be answered: an update, or the reason why there is none."""
    config = replace(graph.manifest.config, epochs=1, deadline_s=WITHIN_S)
    asked = ClientUpdate(1, graph.manifest.task, graph.sha256, graph.manifest.layout, "float32", "float32", graph.initial, config)
    folder = Path(tempfile.mkdtemp(prefix="bramble-check-"))
    try:
        (folder / "graphs").mkdir()
        (folder / "graphs" / f"{graph.sha256}.tflite").write_bytes(graph.data)
        board = open_board("mock", seed=settings.id, live=settings.self_paced)  # real ones are tried by themselves, and not needed here
        agent = Agent(settings.model_copy(update=TOLD_NOBODY), board, folder, None, None)
        agent.recorder.append_many(samples)
        answer = agent.rehearse(asked.to_wire(), WITHIN_S + GRACE_S)
        if answer is None:  # what hangs holds on to what it has; it ends with this process
            return f"there was no answer within {WITHIN_S:g} s"
        agent.close()
        board.close()
        if answer.event == "training_complete":
            return TrainingComplete.from_wire(answer.payload, graph.manifest.layout)
        return TrainingFailed.from_wire(answer.payload).reason
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the log of what is only tried out to ourselves; what comes of it is said in one sentence."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _graph(settings: ClientSettings) -> GraphFile:
    """Return the graph that the server had this client run last, or a built-in task's."""
    kept = sorted((settings.folder / "graphs").glob("*.tflite"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[:1]:
        with contextlib.suppress(OSError, BrambleError):
            graph = GraphFile.read(path.read_bytes())
            # that it is signed, which was found out when it came, could only be asked of the server
            if not settings.graphs_are_checked or graph.fingerprint in released.fingerprints():
                return graph
    return builtin.weather_graph()


def _own(path: Path, manifest: Manifest) -> list[Sample]:
    """Return the newest readings of a client that may be running, if they make a window; the file is only read."""
    if not path.exists():
        return []
    keys = [channel.key for channel in manifest.channels]
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        there = {row[1] for row in connection.execute("PRAGMA table_info(samples)")}
        if not {"t", *keys} <= there:
            return []
        columns = ", ".join(f'"{key}"' for key in keys)
        span = (BINS + manifest.window + manifest.horizon) * manifest.step_s
        rows = connection.execute(
            f"SELECT t, {columns} FROM samples WHERE t >= (SELECT max(t) FROM samples) - ? ORDER BY t DESC LIMIT ?", (span, SAMPLES)
        ).fetchall()
    samples: list[Sample] = [(row[0], dict(zip(keys, row[1:], strict=True))) for row in reversed(rows)]
    if not samples:
        return []
    values = np.array([row[1:] for row in reversed(rows)], np.float64)
    return samples if len(windows(np.array([t for t, _ in samples]), values, manifest)) else []


def _recorded(seed: str, manifest: Manifest) -> list[Sample]:
    """Return what a client would have measured at a place whose weather was recorded."""
    recording = recordings.load(min(recordings.builtin().values()))
    world, keys = Layered(recording, Synthetic(seed)), [channel.key for channel in manifest.channels]
    bins = BINS + manifest.window + manifest.horizon
    times = [recording.first + number * manifest.step_s for number in range(bins)]
    return [(t, {key: world.at(t).get(key) for key in keys}) for t in times]
