"""Task graphs on this client: fetched once, checked against their digest, kept on disk."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from bramble_client.machine import disk
from bramble_protocol import graph
from bramble_protocol.errors import BrambleError, ProtocolError
from bramble_protocol.graph import GraphFile

logger = logging.getLogger(__name__)
KEEP = 16
"""Graphs kept on disk, those that were used last; another one is fetched again."""


class GraphRejected(BrambleError):
    """A graph is not the one that was asked for, or cannot be used here."""


class GraphCache:
    """Graphs by digest, in one folder.

    Parameters
    ----------
    folder
        Where they are kept; made when the first one is stored.
    fetch
        Returns the bytes of the graph with this digest, from the server.
    approve
        Raises ``GraphRejected`` for a graph that is not to be run here; by default every graph is.
    """

    def __init__(self, folder: Path, fetch: Callable[[str], bytes], approve: Callable[[GraphFile], None] = lambda graph: None) -> None:
        self.folder = folder
        self.fetch = fetch
        self.approve = approve
        self._approved: list[str] = []
        """Digests, the newest last: tasks take turns, and whose signatures are fetched once need not be for each turn."""

    def __contains__(self, sha256: str) -> bool:
        """Whether a graph is on the disk."""
        return (self.folder / f"{sha256}.tflite").exists()

    def get(self, sha256: str) -> GraphFile:
        """Return a graph, from disk if it is there whole, otherwise from the server.

        Raises
        ------
        GraphRejected
            If what the server sent has another digest, is not a graph with a manifest, or is not to be run here.
        """
        path = self.folder / f"{sha256}.tflite"
        stored = self._read(path, sha256)
        data = self.fetch(sha256) if stored is None else stored
        found = graph.digest(data)
        if found != sha256:
            raise GraphRejected(f"graph: the server sent {found[:12]}… ({len(data)} bytes) when asked for {sha256[:12]}…; not loaded")
        try:
            read = GraphFile.read(data)
        except ProtocolError as error:
            raise GraphRejected(f"{error}; export it again with this version of Bramble") from error
        if sha256 not in self._approved:
            self.approve(read)
            self._approved = [*self._approved[1 - KEEP :], sha256]
        try:
            if stored is None:
                self._store(path, data)
            else:
                os.utime(path)
        except OSError as error:  # it is fetched again after the next start
            if stored is None:
                logger.warning("%s cannot be kept (%s)", path, disk.remedy(self.folder.parent, error))
        return read

    def _read(self, path: Path, sha256: str) -> bytes | None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        if graph.digest(data) == sha256:
            return data
        logger.warning("%s is damaged; fetching it again", path)
        return None

    def _store(self, path: Path, data: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        # whole or not at all: a power cut must not leave half a graph under its name
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        stored = sorted(self.folder.glob("*.tflite"), key=lambda item: item.stat().st_mtime, reverse=True)
        for old in [item for item in stored if item != path][KEEP - 1 :]:
            old.unlink(missing_ok=True)
