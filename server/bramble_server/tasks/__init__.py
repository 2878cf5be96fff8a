"""What fleets learn: tasks by name, each with its exported graph beside it, so that serving needs no TensorFlow, and graphs by path."""

from __future__ import annotations

from pathlib import Path

from bramble_protocol import signatures
from bramble_protocol.errors import ProtocolError
from bramble_protocol.graph import GraphFile
from bramble_server.tasks.base import Task
from bramble_server.tasks.named import FOLDER, GROUP, TASKS, Named, TaskError, find, names

__all__ = ["FOLDER", "GROUP", "TASKS", "Named", "Task", "TaskError", "create", "find", "load", "names", "signatures_of"]


def create(name: str, horizon: int | None = None) -> Task:
    """Return the task of this name, with another horizon than its own if one is given.

    Raises
    ------
    BrambleError
        If there is no such task, or the package that offers it is broken.
    """
    return find(name).make(horizon)


def former(task: str, horizon: int) -> frozenset[str]:
    """Return the digests that a built-in task's graphs had in releases whose databases say no more of what they belong to."""
    lines = (line.split() for line in (FOLDER / "former.txt").read_text("utf-8").splitlines() if not line.startswith("#"))
    return frozenset(digest for digest, name, ahead in lines if name == task and int(ahead) == horizon)


def load(name: str, horizon: int | None = None) -> GraphFile:
    """Read the graph of a task by its name, or of a file that ``bramble task export`` wrote.

    Parameters
    ----------
    name
        A task's name, or the path of a ``.tflite`` file.
    horizon
        Bins to forecast ahead, instead of the task's own number; only for a task by its name, whose graph does not depend on it.

    Raises
    ------
    BrambleError
        If there is no such task or file, the file is not a graph with a manifest, a horizon is given for a file, or the package that
        offers the task is broken.
    """
    if not name.endswith(".tflite"):
        return find(name).graph(horizon)
    if horizon is not None:
        raise TaskError(f"horizon: the graph in {name} has its own; export it again to change it")
    try:
        data = Path(name).read_bytes()
    except (OSError, ValueError) as error:  # a path with a zero in it is none
        why = getattr(error, "strerror", None) or error
        raise TaskError(f"task: cannot read {name[-100:]} ({why}); give the path of a graph that 'bramble task export' wrote") from error
    try:
        return GraphFile.read(data)
    except ProtocolError as error:  # of several it is said which
        raise TaskError(f"task: {name}: {str(error).removeprefix('graph: ')}") from error


def signatures_of(name: str) -> bytes:
    """Return the file of signatures that lies beside a task's graph; empty if there is none, as for those that come with Bramble.

    Raises
    ------
    TaskError
        If it cannot be read.
    ProtocolError
        Naming the line that is no signature.
    """
    graph = name if name.endswith(".tflite") else find(name).path
    path = Path(f"{graph}.sig")
    if not path.exists():
        return b""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TaskError(f"task: cannot read {path} ({error.strerror})") from error
    signatures.read_signatures(data.decode("ascii", "replace"), str(path))
    return data
