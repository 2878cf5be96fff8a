"""What fleets learn: tasks by name, each with its exported graph beside it, so that serving needs no TensorFlow, and graphs by path."""

from __future__ import annotations

from pathlib import Path

from bramble_protocol import signatures
from bramble_protocol.errors import ProtocolError
from bramble_protocol.graph import GraphFile, Manifest
from bramble_server.tasks.base import Task
from bramble_server.tasks.named import FOLDER, GROUP, TASKS, Named, TaskError, find, names
from bramble_server.tasks.terms import OWN, Terms, setting

__all__ = ["FOLDER", "GROUP", "TASKS", "Named", "Task", "TaskError", "Terms", "create", "find", "load", "names", "signatures_of"]


def create(name: str, terms: Terms = OWN) -> Task:
    """Return the task of this name, with other numbers than its own where some are given.

    Raises
    ------
    BrambleError
        If there is no such task, or the package that offers it is broken.
    """
    return find(name).make(terms)


def former(task: str, manifest: Manifest) -> frozenset[str]:
    """Return the digests that a built-in task's graphs had in releases whose databases say no more of what they belong to."""
    if task not in TASKS or manifest.step_s != TASKS[task].step_s:
        return frozenset()
    lines = (line.split() for line in (FOLDER / "former.txt").read_text("utf-8").splitlines() if not line.startswith("#"))
    return frozenset(digest for digest, name, ahead in lines if name == task and int(ahead) == manifest.horizon)


def load(name: str, terms: Terms = OWN) -> GraphFile:
    """Read the graph of a task by its name, or of a file that ``bramble task export`` wrote.

    Parameters
    ----------
    name
        A task's name, or the path of a ``.tflite`` file.
    terms
        Numbers in place of the task's own; only for a task by its name.

    Raises
    ------
    BrambleError
        If there is no such task or file, the file is not a graph with a manifest, numbers are given for a file, or the package that
        offers the task is broken.
    """
    if not name.endswith(".tflite"):
        return find(name).graph(terms)
    for own in terms.given:
        raise TaskError(f"{setting(own)}: the graph in {name} has its own; export it again to change it")
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
