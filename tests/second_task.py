"""A second task to serve beside the built-in one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bramble_protocol.graph import GraphFile

CLIMATE = Path(__file__).parents[1] / "server/bramble_server/tasks/climate.tflite"


def later(folder: Path) -> Path:
    """Write the climate task's graph as that of a task of another name, and return its path."""
    climate = GraphFile.read(CLIMATE.read_bytes())
    path = folder / "later.tflite"
    path.write_bytes(GraphFile.pack(climate.flatbuffer, replace(climate.manifest, task="later"), climate.initial, climate.state).data)
    return path
