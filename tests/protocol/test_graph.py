from __future__ import annotations

import dataclasses
import json
import zipfile
from typing import Any

import numpy as np
import pytest

from protocol.errors import ProtocolError
from protocol.graph import GraphFile, Manifest, Metric, digest
from protocol.layout import Layout
from protocol.messages import Channel

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
        ("format", 2),
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
