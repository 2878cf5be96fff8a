"""The graphs of the built-in tasks, which come with every installation."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile

FOLDER = Path(str(files("bramble_server"))) / "tasks"
"""Where they lie; a client reads these files and none of the server's code."""


def any_graph() -> GraphFile:
    """Return the graph of one of them.

    Raises
    ------
    BrambleError
        If there is none, or it cannot be read.
    """
    path = min(FOLDER.glob("*.tflite"), default=None)
    if path is None:
        raise BrambleError(f"there is no graph in {FOLDER}; install bramble-fl again")
    return GraphFile.read(path.read_bytes())
