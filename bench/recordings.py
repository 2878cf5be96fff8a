"""What it costs to read a long recording: a month at one line a second, three channels, as people's loggers write it."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench.table import Row

START, SECONDS = 1_672_531_200, 30 * 86_400
CHILD = """
import resource, sys, time
from pathlib import Path
from bramble_client.hal.sim import recordings
began = time.process_time()
recording = recordings.load(Path(sys.argv[1]))
took = time.process_time() - began
print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, recording.at(1_672_531_200 + 1_000_000)["temperature"])
"""


def write(path: Path) -> None:
    """Write a month of random weather."""
    rng = random.Random(1)
    with path.open("w") as file:
        file.write("time,temperature,humidity,pressure\n")
        for t in range(START, START + SECONDS):
            moment = datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            file.write(f"{moment},{10 + 5 * rng.random():.2f},{50 + 10 * rng.random():.1f},{1000 + 10 * rng.random():.2f}\n")


def main() -> list[Row]:
    """Read it in a process of its own, three times."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "month.csv")
        write(path)
        runs = []
        for _ in range(3):
            done = subprocess.run([sys.executable, "-c", CHILD, path], check=True, capture_output=True, text=True)
            runs.append([float(word) for word in done.stdout.split()])
    return [
        Row("processor time to read a month at 1 Hz, best of 3", min(run[0] for run in runs), "s", 3),
        Row("memory of the process that reads it, at most", max(run[1] for run in runs), "MB", 120),
    ]
