"""A second task to serve beside the built-in one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bramble_protocol.graph import GraphFile

CLIMATE = Path(__file__).parents[1] / "server/bramble_server/tasks/climate.tflite"


def later(folder: Path) -> Path:
    """Write the climate task's graph as that of a task of another name that looks three hours further ahead; return its path."""
    climate = GraphFile.read(CLIMATE.read_bytes())
    (target,) = climate.manifest.interface.targets
    horizon = climate.manifest.horizon + 3
    interface = replace(climate.manifest.interface, targets=(replace(target, horizons=(horizon,)),))
    manifest = replace(climate.manifest, task="later", horizon=horizon, declared=interface)
    path = folder / "later.tflite"
    path.write_bytes(GraphFile.pack(climate.flatbuffer, manifest, climate.initial, climate.state).data)
    return path
