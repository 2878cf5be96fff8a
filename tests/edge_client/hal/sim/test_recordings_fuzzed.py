"""Recordings with random damage: each is read, with values that its channels can have, or refused in one sentence."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

from bramble_client.hal.channels import TABLE
from bramble_client.hal.errors import RecordingError
from bramble_client.hal.sim.recordings import load

NAMES = ("sentinel", "empty_cell", "semicolon_comma", "units_in_header", "extra_columns", "yyyymmddhh", "gap")
FILES = [(Path(__file__).with_name("people") / f"{name}.csv").read_bytes() for name in NAMES]
PIECES = (
    b",", b";", b"\t", b"\n", b"\r", b'"', b"#", b"-", b".", b":", b"/", b"T", b"Z", b" ", b"NA", b"-9999", b"1e308", b"\xb0", b"\xff\xfe",
    b"\xef\xbb\xbf", b"2023-01-01", b"01/02/2023 00:00", b"13/02/2023", b"9" * 15, b"time", b"temperature (K)", b"(", b"]", b"\0", b"inf",
    b"PM", b"+25:00", b"2099-12-31T23:59:59-23:59", b"1970", b"20230229", b"24:00",
)  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(FILES))
    for _ in range(rng.randrange(1, 3)):
        place, kind = rng.randrange(len(data) + 1), rng.random()
        if kind < 0.5:
            data[place:place] = rng.choice(PIECES)
        elif kind < 0.7:
            del data[place : place + rng.randrange(1, 6)]
        elif kind < 0.9:
            piece = rng.choice(PIECES)
            data[place : place + len(piece)] = piece
        else:
            data[place : place + 1] = bytes([rng.randrange(256)])
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_recording_is_read_or_refused_in_one_sentence(seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="bramble_client.hal.sim.recordings")
    rng, path, read, refused = random.Random(seed), tmp_path / "mine.csv", 0, list[str]()
    for _ in range(100):
        path.write_bytes(mutated(rng))
        try:
            recording = load(path)
        except RecordingError as error:
            refused.append(str(error))
            continue
        read += 1
        for _ in range(5):
            for key, value in recording.at(recording.first + rng.random() * recording.duration).items():
                low, high = TABLE[key].widest
                assert value is None or low - 1e-6 <= value <= high + 1e-6
    assert all(said.startswith(str(path)) and said.isprintable() for said in refused), refused
    assert min(read, len(refused)) > 3
