"""Ten thousand damaged graphs, each trained as a round's would be: what they do to the training process, and that none ends the client.

What was done is noted in ``.bench/``, so that a run which was broken off goes on there.
"""

from __future__ import annotations

import json
import re
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
from edge_client import builtin
from edge_client.runner import Runner
from edge_client.trainer import Trainer
from protocol import BrambleError
from protocol.graph import GraphFile
from protocol.messages import ClientUpdate

COUNT = 10_000
LIMIT_S = 1.0
"""Seconds for one; an undamaged one takes a few hundredths."""
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


def run(numbers: Sequence[int], note: Path | None = None) -> Counter[str]:
    """Try these, and count what came of them."""
    whole = builtin.any_graph()
    known = json.loads(note.read_text()) if note is not None and note.exists() else {}
    counts = Counter[str](known["counts"] if known.get("graph") == whole.sha256 else {})
    made = sum(counts.values())
    current: list[GraphFile] = [whole]
    runner = Runner(MEMORY_MB)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(Path(folder), lambda _: current[0].data, "bench", runner)
        try:
            for done, number in enumerate(numbers[made:], made + 1):
                current[0] = GraphFile.pack(mutant(whole.flatbuffer, number), whole.manifest, whole.initial)
                counts[outcome(trainer, current[0])] += 1
                if note is not None and done % 100 == 0:
                    note.parent.mkdir(exist_ok=True)
                    note.write_text(json.dumps({"graph": whole.sha256, "counts": counts}))
            current[0] = whole
            if (after := outcome(trainer, whole)) != "ran through":
                raise RuntimeError(f"after them the undamaged graph is not trained: {after}")
        finally:
            runner.close()
    return counts


def main() -> list[Row]:
    note = ROOT / ".bench" / "mutated_graphs.json"
    counts = run(range(COUNT), note)
    note.unlink(missing_ok=True)
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
        Row("clients that they ended", 0, "", 0, "this process is the client; it trained the undamaged graph afterwards"),
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
