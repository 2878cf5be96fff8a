"""A task of one's own, read from a file: Python that declares a ``Task``, or TOML beside a saved Keras model."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from pathlib import Path

from bramble_protocol import fields
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import Manifest
from bramble_protocol.layout import Layout
from bramble_server.authoring import saved
from bramble_server.tasks.base import Task
from bramble_server.tasks.named import lacking
from bramble_server.tasks.terms import Terms, setting

ENDINGS = (".py", ".toml")


class OwnTaskError(BrambleError):
    """A file declares no task that could be exported; the text names the file and what is wrong."""


def read(path: Path, terms: Terms | None = None) -> Task:
    """Return the task that a file declares.

    Parameters
    ----------
    path
        A ``.py`` file with one class that is a ``Task``, or a ``.toml`` file as :mod:`bramble_server.authoring.saved` reads it.
    terms
        Numbers in place of the task's own.

    Raises
    ------
    BrambleError
        If it declares none, several, or one that is not complete.
    """
    given = terms.given if terms is not None else {}
    if path.suffix == ".toml":
        if given:
            raise OwnTaskError(f"task: {path} says its {setting(next(iter(given)))} itself; change it there")
        return saved.read(path)
    if path.suffix != ".py":
        raise OwnTaskError(f"task: {path} is neither a .py nor a .toml file; bramble task new writes one to begin with")
    found = _declared(path)
    if fixed := [name for name in given if name not in inspect.signature(found).parameters]:
        raise OwnTaskError(f"task: {found.__name__} in {path} takes no {fixed[0]}; let its __init__ have one")
    try:
        task = found(**given)
    except Exception as error:
        raise OwnTaskError(f"task: {found.__name__}() of {path} failed: {_where(error, path)}") from error
    if missing := lacking(task):
        raise OwnTaskError(f"task: {found.__name__} in {path} lacks {', '.join(missing)}")
    if not fields.CLIENT_ID.fullmatch(str(task.name)):
        raise OwnTaskError(f"task: {path}: a task is called with 1 to 63 of a-z, 0-9 and '-', the first no '-', and not {task.name!r}")
    try:
        # weights are not known yet; everything else that a client is told is
        Manifest.from_wire(task.manifest(Layout.of([("w", [1])])).to_wire())
    except BrambleError as error:
        raise OwnTaskError(f"task: {path}: {error}") from error
    return task


def _declared(path: Path) -> type[Task]:
    name = f"bramble_own_task_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise OwnTaskError(f"task: there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and Keras look a class's module up by its name
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise OwnTaskError(f"task: {path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise OwnTaskError(f"task: {path} cannot be imported: {_where(error, path)}") from error
    found = [each for each in vars(module).values() if inspect.isclass(each) and issubclass(each, Task) and each.__module__ == name]
    if len(found) != 1:
        what = f"declares {len(found)} ({', '.join(each.__name__ for each in found)})" if found else "declares none"
        raise OwnTaskError(f"task: {path} must declare one class that is a bramble_server.tasks.Task, and {what}")
    if inspect.isabstract(found[0]):
        raise OwnTaskError(f"task: {found[0].__name__} in {path} lacks {', '.join(sorted(found[0].__abstractmethods__))}")
    return found[0]


def _where(error: Exception, path: Path) -> str:
    """Say what went wrong, and in which line of the file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path.resolve()]
    lines += [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    said = " ".join(str(error).split())[:300]
    return f"{f'line {lines[-1]}: ' if lines else ''}{type(error).__name__}: {said}"
