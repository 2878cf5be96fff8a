"""The tasks that come with Bramble, each with its graph exported and committed, so that serving needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bramble_protocol import signatures
from bramble_protocol.errors import BrambleError, ProtocolError
from bramble_protocol.graph import GraphFile
from bramble_server.tasks.base import Task
from bramble_server.tasks.climate import Climate

FOLDER = Path(__file__).parent
TASKS: dict[str, Callable[..., Task]] = {"climate": Climate}
"""Every built-in task by name. A new one is one file, its exported graph beside it, and one row here."""

__all__ = ["TASKS", "Task", "TaskError", "create", "load", "signatures_of"]


class TaskError(BrambleError):
    """A task cannot be found or read."""


def create(name: str, horizon: int | None = None) -> Task:
    """Return the built-in task of this name, with another horizon than its own if one is given.

    Raises
    ------
    TaskError
        If there is no such task.
    """
    if name not in TASKS:
        raise TaskError(
            f"task: {name[:100]!r} is not one of {', '.join(sorted(TASKS))}; for a graph of your own, give the path of its .tflite file"
        )
    return TASKS[name]() if horizon is None else TASKS[name](horizon=horizon)


def former(task: str, horizon: int) -> frozenset[str]:
    """Return the digests that a built-in task's graphs had in releases whose databases say no more of what they belong to."""
    lines = (line.split() for line in (FOLDER / "former.txt").read_text("utf-8").splitlines() if not line.startswith("#"))
    return frozenset(digest for digest, name, ahead in lines if name == task and int(ahead) == horizon)


def load(name: str, horizon: int | None = None) -> GraphFile:
    """Read the graph of a built-in task, or of a file that ``bramble task export`` wrote.

    Parameters
    ----------
    name
        A built-in task's name, or the path of a ``.tflite`` file.
    horizon
        Bins to forecast ahead, instead of the task's own number; only for a built-in task, whose graph does not depend on it.

    Raises
    ------
    TaskError
        If there is no such task or file, the file is not a graph with a manifest, or a horizon is given for a file.
    """
    if not name.endswith(".tflite"):
        task = create(name, horizon)
        graph = GraphFile.read((FOLDER / f"{name}.tflite").read_bytes())
        if horizon is None:
            return graph
        manifest = task.manifest(graph.manifest.layout, graph.manifest.interface.state)
        return GraphFile.pack(graph.flatbuffer, manifest, graph.initial, graph.state)
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
    """Return the file of signatures that lies beside a graph of one's own; empty if there is none, or the task is built in.

    Raises
    ------
    TaskError
        If it cannot be read.
    ProtocolError
        Naming the line that is no signature.
    """
    path = Path(name + ".sig")
    if not name.endswith(".tflite") or not path.exists():
        return b""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TaskError(f"task: cannot read {path} ({error.strerror})") from error
    signatures.read_signatures(data.decode("ascii", "replace"), str(path))
    return data
