"""The graph of the built-in task that every recording of weather can train; it comes with every installation."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile

PATH = Path(str(files("bramble_server"))) / "tasks" / "climate.tflite"
"""Where it lies; a client reads this file and none of the server's code."""


def weather_graph() -> GraphFile:
    """Return it.

    Raises
    ------
    BrambleError
        If it is not there, or cannot be read.
    """
    if not PATH.exists():
        raise BrambleError(f"there is no graph in {PATH.parent}; install bramble-fl again")
    return GraphFile.read(PATH.read_bytes())
