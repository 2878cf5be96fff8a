"""What is left of a client's readings when pages of its database are damaged, as a worn card does it."""

from __future__ import annotations

import logging
import random
import shutil
import tempfile
from pathlib import Path

from bench.table import Row
from bramble_client.acquire.recorder import Recorder

SAMPLES, STEP_S, START = 20_000, 60.0, 1_700_000_000.0
PAGE = 4096
KINDS = ("zeros", "noise", "half", "another page", "flipped bits")


def make(path: Path, samples: int = SAMPLES) -> int:
    """Record some days in a new database; return how many pages it has."""
    recorder = Recorder(path, 10 * samples)
    recorder.append_many((START + i * STEP_S, truth(i)) for i in range(samples))
    recorder.label(START, "empty")
    recorder.set("tested_until", repr(START))
    recorder.close()
    return path.stat().st_size // PAGE


def truth(i: int) -> dict[str, float | None]:
    """Return what sample number ``i`` holds."""
    return {"temperature": i % 97 / 4, "humidity": i % 89 / 2, "pressure": 1000.0 + i % 83}


def damage(path: Path, rng: random.Random, kind: str, pages: int) -> None:
    """Damage some pages behind the first, which holds the schema."""
    count = path.stat().st_size // PAGE
    with path.open("r+b") as file:
        for page in rng.sample(range(1, count), min(pages, count - 1)):
            file.seek(page * PAGE)
            old = file.read(PAGE)
            if kind == "zeros":
                new = bytes(PAGE)
            elif kind == "noise":
                new = rng.randbytes(PAGE)
            elif kind == "half":
                new = old[: PAGE // 2] + bytes(PAGE // 2)
            elif kind == "another page":
                file.seek(rng.randrange(count) * PAGE)
                new = file.read(PAGE)
            else:
                flipped = bytearray(old)
                for _ in range(8):
                    flipped[rng.randrange(12)] ^= 1 << rng.randrange(8)  # of the page's header
                new = bytes(flipped)
            file.seek(page * PAGE)
            file.write(new)


def kept(path: Path) -> tuple[int, int]:
    """Open a damaged database, and go on with it; return how many samples it gives, and how many of these are not what was measured."""
    recorder = Recorder(path, 10 * SAMPLES)
    try:
        recorder.append(START - STEP_S, truth(0))
        t, values = recorder.columns(list(truth(0)))
    finally:
        recorder.close()
    wrong = 0
    for moment, row in zip(t.tolist(), values.tolist(), strict=True):
        number = round((moment - START) / STEP_S)
        wrong += moment != START + number * STEP_S or [*truth(max(number, 0)).values()] != row
    return len(t) - 1, wrong


def main() -> list[Row]:
    """Damage one page in fifty, in five ways, twenty times each."""
    logging.disable(logging.ERROR)
    rng = random.Random(1)
    least, mean, wrong, ended = 1.0, 0.0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name, "whole.db")
        pages = make(whole)
        for turn in range(20 * len(KINDS)):
            path = Path(name, f"{turn}", "readings.db")
            path.parent.mkdir()
            shutil.copy(whole, path)
            damage(path, rng, KINDS[turn % len(KINDS)], max(1, pages // 50))
            try:
                samples, false = kept(path)
            except Exception:
                ended += 1
                continue
            least, mean, wrong = min(least, samples / SAMPLES), mean + samples / SAMPLES, wrong + false
    logging.disable(logging.NOTSET)
    return [
        Row("clients that a damaged page ended, of 100", ended, "", 0),
        Row("samples saved with 2 % of the pages damaged, mean", 100 * mean / 100, "%", None),
        Row("the same, worst of 100", 100 * least, "%", None),
        Row("false samples", wrong, "", 0),
    ]
