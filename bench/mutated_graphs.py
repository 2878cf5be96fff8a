"""Ten thousand damaged graphs, each trained as a round's would be: what they do to the training process, and whether one ends the client.

The client is a process of its own here, too, so that its end would be counted. What was done is noted in ``.bench/``, and a run which
was broken off goes on there.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.loopback import ROOT
from bench.mutants import mutant
from bench.table import Row
from bramble_client.learn import builtin
from bramble_client.learn.runner import Runner
from bramble_client.learn.trainer import Trainer
from bramble_protocol import BrambleError
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import ClientUpdate

COUNT = 10_000
NOTE = ROOT / ".bench" / "mutated_graphs.json"
ENDED = "the client ended"
LIMIT_S = 2.0
"""Seconds for one; an undamaged one takes a few hundredths."""
START_S = 60.0
"""Seconds for a training process to start after the one before has died; no graph's fault."""
MEMORY_MB = 512
HOURS = 100


def readings(keys: Sequence[str], since: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n = np.arange(HOURS, dtype=np.float64)
    return 3600.0 * n, np.stack([12 + 6 * np.sin(n / 4), 60 - np.sin(n / 4), 1000 + np.cos(n / 9)], 1)


def outcome(trainer: Trainer, graph: GraphFile) -> str:
    """Train with one, and return what came of it in a word or two."""
    config = replace(graph.manifest.config, deadline_s=LIMIT_S)
    update = ClientUpdate(1, graph.manifest.task, graph.sha256, graph.manifest.layout, "float32", "float32", graph.initial, config)
    try:
        trainer.run(update, readings, None)
    except BrambleError as error:
        died = re.search(r"ended its process \((SIG\w+)", str(error))
        if died:
            return died[1]
        endings = {"did not end within": "no end", "wants more than": "too much memory", "what cannot be used": "an unusable result"}
        return next((name for text, name in endings.items() if text in str(error)), "refused")
    return "ran through"


def run() -> None:
    """Be the client: try those that are left, and note what came of each."""
    whole, counts = builtin.weather_graph(), noted()
    current: list[GraphFile] = [whole]
    runner = Runner(MEMORY_MB)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(Path(folder), lambda _: current[0].data, "bench", runner)
        try:
            for number in range(counts.total(), COUNT):
                if not runner.alive:
                    runner.allow(START_S)
                    runner.load(whole.sha256, whole.flatbuffer)
                current[0] = GraphFile.pack(mutant(whole.flatbuffer, number), whole.manifest, whole.initial)
                counts[outcome(trainer, current[0])] += 1
                note(counts)
            current[0] = whole
            if (after := outcome(trainer, whole)) != "ran through":
                raise RuntimeError(f"after them the undamaged graph is not trained: {after}")
        finally:
            runner.close()


def noted() -> Counter[str]:
    """Return what came of those that were tried so far."""
    known = json.loads(NOTE.read_text()) if NOTE.exists() else {}
    return Counter[str](known["counts"] if known.get("graph") == builtin.weather_graph().sha256 else {})


def note(counts: Counter[str]) -> None:
    NOTE.parent.mkdir(exist_ok=True)
    unfinished = NOTE.with_suffix(".part")
    unfinished.write_text(json.dumps({"graph": builtin.weather_graph().sha256, "counts": counts}))
    unfinished.replace(NOTE)


def main() -> list[Row]:
    while code := subprocess.run([sys.executable, "-m", "bench.mutated_graphs"], cwd=ROOT).returncode:
        if code > 0:
            raise RuntimeError("the client failed in a way that no graph should bring about; its traceback is above")
        note(noted() + Counter({ENDED: 1}))
    counts = noted()
    NOTE.unlink()
    killed = {name: count for name, count in sorted(counts.items()) if name.startswith("SIG")}
    signals = ", ".join(f"{count} {name}" for name, count in killed.items())
    return [
        Row(
            "damaged graphs that a client was given",
            counts.total(),
            "",
            COUNT,
            "each loaded, tested, trained and read back",
            bound="at least",
        ),
        Row("clients that they ended", counts[ENDED], "", 0, "the client trained the undamaged graph afterwards"),
        Row("training processes that they crashed", sum(killed.values()), "", None, signals),
        Row("that never ended, and were", counts["no end"], "", None, f"after {LIMIT_S:g} s, their round's deadline"),
        Row("that wanted too much memory", counts["too much memory"], "", None, f"more than {MEMORY_MB} MB"),
        Row(
            "whose result could not be used",
            counts["an unusable result"],
            "",
            None,
            "larger than what went in, or of a type that does not travel",
        ),
        Row("that were refused with a sentence", counts["refused"]),
        Row("that ran through", counts["ran through"], "", None, "their damage did not show"),
    ]


if __name__ == "__main__":
    run()
