"""Tasks by name: those that come with Bramble, and those that other packages bring by the entry point ``bramble.tasks``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bramble_protocol import fields, plugins
from bramble_protocol.errors import BrambleError, ProtocolError
from bramble_protocol.graph import GraphFile, Manifest
from bramble_protocol.nearest import nearest
from bramble_server.tasks.activity import Activity
from bramble_server.tasks.anomaly import Anomaly
from bramble_server.tasks.base import Task
from bramble_server.tasks.climate import Climate
from bramble_server.tasks.room import Room
from bramble_server.tasks.terms import OWN, Terms, setting

T = TypeVar("T")

GROUP = "bramble.tasks"
FOLDER = Path(__file__).parent
TASKS: dict[str, type[Task]] = {"activity": Activity, "anomaly": Anomaly, "climate": Climate, "room": Room}
"""Every built-in task by name. A new one is one file, its exported graph beside it, and one row here. No package can take its name."""
_DECLARED = tuple(inspect.get_annotations(Task))
"""What a task must have, if only by what its base has."""


class TaskError(BrambleError):
    """A task cannot be found or read."""


@dataclass(frozen=True)
class Named:
    """A task that can be had by its name."""

    name: str
    kind: type[Task]
    owner: str
    """The package that brings it, with its version; empty for Bramble's own."""

    @property
    def path(self) -> Path:
        """Where its exported graph lies: beside the file that declares it."""
        return self._asked(lambda: Path(inspect.getfile(self.kind)).parent) / f"{self.name}.tflite"

    @property
    def what(self) -> str:
        """How a sentence begins that is about it."""
        return f"task: {self.name!r}{f' of {self.owner}' if self.owner else ''}"

    def make(self, terms: Terms = OWN) -> Task:
        """Return the task, with other numbers than its own where some are given.

        Raises
        ------
        TaskError
            If it does not take one of them, or is not a task that could be served.
        """
        taken = inspect.signature(self.kind).parameters
        if fixed := [name for name in terms.given if name not in taken]:
            raise TaskError(f"{setting(fixed[0])}: {self.what.removeprefix('task: ')} has its own; leave it out")
        task: Task = self._asked(lambda: self.kind(**terms.given))
        if missing := lacking(task):
            raise TaskError(f"{self.what} cannot be used: {self.kind.__name__} lacks {', '.join(missing)}; ask its author")
        if task.name != self.name:
            raise TaskError(f"{self.what} cannot be used: it calls itself {str(task.name)[:63]!r}; ask its author")
        return task

    def graph(self, terms: Terms = OWN) -> GraphFile:
        """Return its exported graph, with the task's own numbers or those that are given.

        Raises
        ------
        TaskError
            As for ``make``, and if its graph is not there, is none, is another task's than the one that is declared, or takes another
            window than is wanted.
        """
        task, usual = self.make(terms), self.make()
        try:
            graph = GraphFile.read(self.path.read_bytes())
        except OSError as error:
            why = f"brings no graph that can be read ({self.path}: {error.strerror})"
            raise TaskError(f"{self.what} {why}; bramble task export {self.name} makes one") from error
        except ProtocolError as error:
            raise TaskError(f"{self.what}: {self.path}: {str(error).removeprefix('graph: ')}") from error
        if self._manifest(usual, graph).to_wire() != graph.manifest.to_wire():
            what = "its graph was not exported from what it declares now"
            raise TaskError(f"{self.what} cannot be used: {what}; bramble task export {self.name} makes it anew")
        if task.window != usual.window:
            flags = " ".join(f"--{setting(name)} {value:g}{'s' * (name == 'step_s')}" for name, value in terms.given.items())
            raise TaskError(
                f"window: the graph of {self.what.removeprefix('task: ')} takes windows of {usual.window} bins; export one of "
                f"{task.window} and give its path: bramble task export {self.name} {flags} --out FILE.tflite"
            )
        if terms == OWN:
            return graph
        return GraphFile.pack(graph.flatbuffer, self._manifest(task, graph), graph.initial, graph.state)

    def _manifest(self, task: Task, graph: GraphFile) -> Manifest:
        """Return what a task says of itself, as whoever reads the graph would have it."""
        face = graph.manifest.interface

        def declared() -> Manifest:
            return Manifest.from_wire(task.manifest(graph.manifest.layout, face.state, face.draws).to_wire())

        return self._asked(declared)

    def _asked(self, question: Callable[[], T]) -> T:
        """Ask something of a third party's code."""
        try:
            return question()
        except BrambleError as error:
            raise TaskError(f"{self.what} cannot be used: {error}; ask its author") from error
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            raise TaskError(f"{self.what} cannot be used ({type(error).__name__}: {said}); ask its author") from error


def names() -> list[str]:
    """Return the names of all tasks, Bramble's and other packages'; nothing is imported for it."""
    return [*TASKS, *sorted({point.name for point in plugins.entry_points(GROUP)} - TASKS.keys())]


def find(name: str) -> Named:
    """Return the task of a name.

    Raises
    ------
    BrambleError
        If there is none, or the package that offers it is broken: then the sentence names that package.
    """
    if name in TASKS:
        return Named(name, TASKS[name], "")
    points = plugins.entry_points(GROUP, name)
    if not points:
        known, near = names(), nearest(name, names())
        meant = f", did you mean {near!r}?" if near else "; for a graph of your own, give the path of its .tflite file"
        raise TaskError(f"task: {name[:100]!r} is not one of {', '.join(known)}{meant}")
    what = f"task: {name!r}"
    point = plugins.one(points, what)
    found = plugins.loaded(point, what)
    if wrong := _fault(name, found):
        raise TaskError(f"{what} of {plugins.owner(point)} cannot be used: {wrong}; ask its author")
    return Named(name, found, plugins.owner(point))  # type: ignore[arg-type]


def lacking(task: Task) -> list[str]:
    """Return what a task must have and does not."""
    return [name for name in _DECLARED if not hasattr(task, name)]


def _fault(name: str, found: object) -> str | None:
    if not fields.CLIENT_ID.fullmatch(name):
        return "a task is called with 1 to 63 of a-z, 0-9 and '-', the first no '-'"
    if not (isinstance(found, type) and issubclass(found, Task)):
        return f"{' '.join(repr(found).split())[:80]} is not a Task"
    if inspect.isabstract(found):
        return f"{found.__name__} lacks {', '.join(sorted(found.__abstractmethods__))}"
    return None
