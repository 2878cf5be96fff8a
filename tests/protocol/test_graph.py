from __future__ import annotations

import dataclasses
import io
import json
import tracemalloc
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bramble_protocol import graph as module
from bramble_protocol.errors import ProtocolError
from bramble_protocol.graph import GraphFile, Manifest, Metric, digest
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Channel
from tests.examples import examples

MANIFEST = Manifest(
    task="climate",
    description="forecast",
    channels=(Channel("temperature", "°C"), Channel("humidity", "%")),
    window=24,
    step_s=3600.0,
    horizon=3,
    target="temperature",
    layout=Layout.of([("kernel", [2, 3])]),
    metric=Metric("RMSE", "°C", "sqrt", "persistence"),
)
INITIAL = np.arange(6, dtype=np.float32)


def test_a_packed_graph_is_read_back_whole() -> None:
    graph = GraphFile.read(GraphFile.pack(b"flatbuffer", MANIFEST, INITIAL).data)
    assert graph.manifest == MANIFEST
    np.testing.assert_array_equal(graph.initial, INITIAL)
    assert graph.data.startswith(b"flatbuffer")
    assert graph.sha256 == digest(graph.data)


def test_packing_is_reproducible() -> None:
    assert GraphFile.pack(b"x", MANIFEST, INITIAL).sha256 == GraphFile.pack(b"x", MANIFEST, INITIAL).sha256


def test_any_change_changes_the_digest() -> None:
    other = dataclasses.replace(MANIFEST, horizon=6)
    digests = {GraphFile.pack(*parts).sha256 for parts in [(b"x", MANIFEST, INITIAL), (b"y", MANIFEST, INITIAL), (b"x", other, INITIAL)]}
    assert len(digests) == 3


@pytest.mark.parametrize("data", [b"", b"no archive at the end", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_graph_file_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a graph file"):
        GraphFile.read(data)


def test_weights_that_do_not_fit_the_manifest_are_refused(tmp_path: Any) -> None:
    path = tmp_path / "graph"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(MANIFEST.to_wire()))
        archive.writestr("weights.f32", bytes(5))
    with pytest.raises(ProtocolError, match="do not fit"):
        GraphFile.read(path.read_bytes())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", 3),
        ("task", "Climate Task"),
        ("channels", []),
        ("channels", "temperature"),
        ("window", 0),
        ("step_s", 0.0),
        ("horizon", -1),
        ("target", "pressure"),
        ("layout", []),
        ("metric", {"name": "RMSE"}),
        ("config", {}),
    ],
)
def test_a_malformed_manifest_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ProtocolError, match=name if name != "config" else "config: missing"):
        Manifest.from_wire({**MANIFEST.to_wire(), name: value})


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    tail = io.BytesIO()
    with zipfile.ZipFile(tail, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return tail.getvalue()


TEXT = json.dumps(MANIFEST.to_wire()).encode()
WEIGHTS = INITIAL.tobytes()


def told_smaller(data: bytes, size: int) -> bytes:
    """An archive that says of every file, in both places, that it unpacks to so many bytes."""
    out, at = bytearray(data), 0
    for signature, field in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            out[at + field : at + field + 4] = size.to_bytes(4, "little")
    return bytes(out)


BOMBS = {
    "a manifest of 128 MB": lambda: zipped(("manifest.json", bytes(1 << 27)), ("weights.f32", WEIGHTS)),
    "a newer manifest of 128 MB": lambda: zipped(("manifest.json", TEXT), ("manifest.2.json", bytes(1 << 27)), ("weights.f32", WEIGHTS)),
    "weights of 128 MB": lambda: zipped(("manifest.json", TEXT), ("weights.f32", bytes(1 << 27))),
    "a manifest that lies of its size": lambda: told_smaller(zipped(("manifest.json", bytes(1 << 27)), ("weights.f32", WEIGHTS)), 900),
    "one packed by a method without a limit": lambda: zipped(("manifest.json", bytes(1 << 26)), method=zipfile.ZIP_BZIP2),
    "thousands of files": lambda: zipped(("manifest.json", TEXT), *((f"{n}", b"") for n in range(40_000))),
    "a manifest nested without end": lambda: zipped(("manifest.json", b"[" * 1_000_000), ("weights.f32", WEIGHTS)),
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_what_would_unpack_to_far_more_is_refused_before_it_does(bomb: str) -> None:
    data = b"flatbuffer" + BOMBS[bomb]()
    assert len(data) < 6e6
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="not a graph file with a manifest"):
            GraphFile.read(data)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_a_file_beyond_the_largest_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = GraphFile.pack(b"flatbuffer", MANIFEST, INITIAL).data
    monkeypatch.setattr(module, "LARGEST", len(data) - 1)
    with pytest.raises(ProtocolError, match="are the most"):
        GraphFile.read(data)


@settings(max_examples=examples(300))
@given(st.data())
def test_a_damaged_file_is_refused_or_read_and_nothing_else(choose: st.DataObject) -> None:
    data = bytearray(GraphFile.pack(b"flatbuffer", MANIFEST, INITIAL).data)
    for _ in range(choose.draw(st.integers(1, 4))):
        data[choose.draw(st.integers(10, len(data) - 1))] = choose.draw(st.integers(0, 255))
    try:
        assert len(GraphFile.read(bytes(data)).flatbuffer) <= len(data)
    except ProtocolError:
        pass
