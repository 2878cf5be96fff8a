"""The graph cache: one fetch a graph, nothing under a name that is not its digest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bramble_client.learn.graphs import KEEP, GraphCache, GraphRejected
from bramble_protocol.graph import GraphFile, Manifest, Metric, digest
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Channel


def graph(number: int) -> GraphFile:
    """A graph file of some task; no runtime loads it here."""
    manifest = Manifest(
        task=f"task-{number}",
        description="",
        channels=(Channel("temperature", "°C"),),
        window=2,
        step_s=60.0,
        horizon=1,
        target="temperature",
        layout=Layout.of([("w", (3,))]),
        metric=Metric("RMSE", "°C", "sqrt", "persistence"),
    )
    return GraphFile.pack(b"TFL3 flatbuffer", manifest, np.zeros(3, np.float32))


class Server:
    """Hands out graphs by digest and counts."""

    def __init__(self, *graphs: GraphFile) -> None:
        self.graphs = {item.sha256: item.data for item in graphs}
        self.asked: list[str] = []

    def fetch(self, sha256: str) -> bytes:
        self.asked.append(sha256)
        return self.graphs[sha256]


def test_a_graph_is_fetched_once_even_by_a_client_that_starts_again(tmp_path: Path) -> None:
    one = graph(1)
    server = Server(one)
    for _ in range(2):
        cache = GraphCache(tmp_path / "graphs", server.fetch)
        assert cache.get(one.sha256).manifest == one.manifest
        assert cache.get(one.sha256).data == one.data
    assert server.asked == [one.sha256]


def test_bytes_with_another_digest_are_refused_and_not_kept(tmp_path: Path) -> None:
    one, other = graph(1), graph(2)
    cache = GraphCache(tmp_path, lambda _: other.data)
    with pytest.raises(GraphRejected, match=rf"the server sent {other.sha256[:12]}… .* when asked for {one.sha256[:12]}…; not loaded"):
        cache.get(one.sha256)
    assert list(tmp_path.iterdir()) == []


def test_bytes_without_a_manifest_are_refused(tmp_path: Path) -> None:
    data = b"TFL3 flatbuffer alone"
    cache = GraphCache(tmp_path, lambda _: data)
    with pytest.raises(GraphRejected, match=r"not a graph file with a manifest .*; export it again"):
        cache.get(digest(data))


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: data[:-1] + b"?", lambda _: b""])
def test_a_damaged_copy_on_disk_is_fetched_again(tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture) -> None:
    one = graph(1)
    server = Server(one)
    cache = GraphCache(tmp_path, server.fetch)
    cache.get(one.sha256)
    path = tmp_path / f"{one.sha256}.tflite"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    assert cache.get(one.sha256).data == one.data
    assert path.read_bytes() == one.data
    assert server.asked == [one.sha256] * 2
    assert "is damaged; fetching it again" in caplog.text


def test_a_fetch_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def cut(_: str) -> bytes:
        raise ConnectionResetError("cut")

    with pytest.raises(ConnectionResetError):
        GraphCache(tmp_path, cut).get(graph(1).sha256)
    assert list(tmp_path.iterdir()) == []


def test_only_the_newest_graphs_stay_on_disk(tmp_path: Path) -> None:
    graphs = [graph(number) for number in range(KEEP + 3)]
    cache = GraphCache(tmp_path, Server(*graphs).fetch)
    for item in graphs:
        cache.get(item.sha256)
        assert (tmp_path / f"{item.sha256}.tflite").exists()
    assert len(list(tmp_path.iterdir())) == KEEP
