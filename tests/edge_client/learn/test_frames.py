"""What may come over the socket from a process that a graph has spoilt: frames, and a refusal of everything else."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bramble_client.learn.frames import LONGEST, Frames, Malformed
from tests.examples import examples

Ends = tuple[socket.socket, Frames]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = socket.socketpair()
    frames = Frames(ours)
    yield theirs, frames
    theirs.close()
    frames.close()


def raw(head: object, body: bytes = b"") -> bytes:
    text = json.dumps(head).encode()
    return struct.pack("!I", len(text)) + text + body


def test_arrays_of_every_kind_and_shape_arrive_as_they_were_sent(ends: Ends) -> None:
    theirs, frames = ends
    arrays: dict[str, np.ndarray] = {
        "scalar": np.asarray(np.float32(0.1)),
        "backwards": np.arange(24, dtype=np.int32).reshape(2, 3, 4)[:, ::-1],
        "empty": np.empty((0, 5), np.float64),
        "flags": np.array([True, False]),
        "half": np.ones(3, np.float16),
    }
    Frames(theirs).send({"signature": "fit"}, arrays)
    head, found = frames.receive(1000)
    assert head == {"signature": "fit"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack("!I", LONGEST + 1),
        struct.pack("!I", 2**32 - 1),
        struct.pack("!I", 4) + b"\xff\xfe\x00\x00",
        struct.pack("!I", 100_000) + b"[" * 100_000,
        raw([]),
        raw({}),
        raw([{}, [["y", "object", [1]]]], bytes(8)),
        raw([{}, [["y", "float32", [-1]]]]),
        raw([{}, [["y", "float32", [1.5]]]]),
        raw([{}, [["y", "float32", [True]]]]),
        raw([{}, [["y", ["float32"], [1]]]]),
        raw([{}, [["y", "float32", [1] * 33]]], bytes(4)),
        raw([{}, [["y", "float32", [10**30, 10**30]]]]),
        raw([{}, [["y", "float32", [200]], ["z", "float32", [51]]]]),
    ],
)
def test_what_is_no_frame_or_too_large_is_refused_unread(ends: Ends, sent: bytes) -> None:
    theirs, frames = ends
    theirs.sendall(sent)
    with pytest.raises(Malformed):
        frames.receive(1000)


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        frames = Frames(ours)
        try:
            frames.receive(1000)
        except (Malformed, EOFError):
            pass
        finally:
            frames.close()


def test_an_end_that_is_gone_is_told_from_one_that_is_slow(ends: Ends) -> None:
    theirs, frames = ends
    theirs.sendall(raw([{}, [["y", "float32", [2]]]], bytes(4)))
    frames.until = time.monotonic() + 0.05
    with pytest.raises(TimeoutError):
        frames.receive(1000)
    theirs.close()
    frames.until = time.monotonic() + 60
    with pytest.raises(EOFError):
        frames.receive(1000)


def test_a_type_that_does_not_travel_is_not_sent(ends: Ends) -> None:
    with pytest.raises(Malformed, match="y is of type object"):
        ends[1].send({}, {"y": np.array([{}])})
