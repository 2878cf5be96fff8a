"""A server or a client that writes down which files one update is handed through: ``WALK=FILE python walked.py server <flags>``.

A file counts when one of its functions is called with the update: the weights that a client trained, as an array, as bytes, or inside
something else. The walk begins where a client's trainer returns it, and where a server's handler takes it; from there on it is known by
its first weights, and by those of whatever a function that was called with it returns.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

from bramble import resident
from bramble.cli import main
from bramble_client.commands import run
from bramble_server.transport.gevent.engine import GeventLoop

ROOT = f"{Path(__file__).parents[2]}/"
FIRST, LONG = 8, 400
"""Weights, and packed bytes, by which an update is known."""
DEEP = 4
"""How far inside something else it is looked for."""
BEGINS = {"server": ("transport/handlers.py", "call", "training_complete"), "client": ("learn/trainer.py", "return", "run")}

arrays: list[np.ndarray[Any, Any]] = []
"""First weights of what the update is, and of what has become of it on the way: decoded, or added to the model that it is a change of."""
prefixes: set[bytes] = set()
"""The same, of what is packed for the wire or the disk."""
files: list[str] = []
where: dict[CodeType, str | None] = {}
carrying: set[int] = set()


def parts(value: Any, deep: int = DEEP) -> Iterator[np.ndarray[Any, Any] | bytes]:
    """Yield the beginnings of all weights in a value."""
    if isinstance(value, np.ndarray):
        if value.dtype == np.float32 and value.size >= FIRST and value.any():
            yield value.ravel()[:FIRST].copy()
    elif isinstance(value, bytes | bytearray | memoryview):
        if len(value) >= LONG:
            yield bytes(value[:LONG])
    elif deep and isinstance(value, dict):
        for item in list(value.values()):
            yield from parts(item, deep - 1)
    elif deep and isinstance(value, list | tuple):
        for item in value[:20]:
            yield from parts(item, deep - 1)
    elif deep and dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from parts(getattr(value, field.name, None), deep - 1)


def holds(value: Any) -> bool:
    """Say whether a value has the update in it. The mean of one update is the update, but for its last bits."""
    for part in parts(value):
        if isinstance(part, bytes):
            if part in prefixes:
                return True
        elif any(np.allclose(part, known, rtol=1e-4, atol=1e-9, equal_nan=True) for known in arrays):
            return True
    return False


def learn(value: Any) -> None:
    """Know the update by what is in a value, too."""
    if holds(value) and not isinstance(value, np.ndarray | bytes):
        return
    for part in parts(value):
        if isinstance(part, bytes):
            prefixes.add(part)
        else:
            arrays.append(part)


def look(frame: FrameType, event: str, argument: Any) -> None:
    """Write down the file of a function that is called with the update."""
    code = frame.f_code
    if code not in where:
        name = code.co_filename
        where[code] = name.removeprefix(ROOT) if name.startswith(ROOT) and "/bramble_" in name and code.co_name[0] != "<" else None
    file = where[code]
    if file is None or event not in ("call", "return"):
        return
    if not arrays and not prefixes:
        if file.endswith(begins[0]) and event == begins[1] and code.co_name == begins[2]:
            learn(argument if event == "return" else list(frame.f_locals.values()))
            note(file, frame)
    elif event == "call":
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if holds([frame.f_locals.get(name) for name in names if name not in ("self", "cls")]):
            carrying.add(id(frame))
            note(file, frame)
    elif id(frame) in carrying:
        carrying.discard(id(frame))
        learn(argument)


def note(file: str, frame: FrameType) -> None:
    """Write a step down, once where one follows the other in the same file, and whether it goes back: a helper's return does not."""
    if files and files[-1] == file:
        return
    back = file in files and not any(where.get(code) == file for code in callers(frame))
    files.append(file)
    with open(os.environ["WALK"], "a", encoding="utf-8") as out:
        out.write(f"{file} {frame.f_code.co_name} {'back' if back else 'on'}\n")


def callers(frame: FrameType) -> Iterator[CodeType]:
    """Yield who waits for a function to return."""
    caller = frame.f_back
    while caller is not None:
        yield caller.f_code
        caller = caller.f_back


def watched(offload: Any) -> Any:
    """Look at what runs in the engine's own threads, too."""

    def offloaded(self: GeventLoop, work: Any, *arguments: Any) -> Any:
        def begin() -> Any:
            sys.setprofile(look)
            return work(*arguments)

        return offload(self, begin)

    return offloaded


if __name__ == "__main__":
    role = os.environ["ROLE"]
    begins = BEGINS[role]
    if role == "client":  # stays the process that it is, for the other would not be watched
        resident.run = run.run
    GeventLoop.offload = watched(GeventLoop.offload)  # type: ignore[method-assign]
    threading.setprofile(look)
    sys.setprofile(look)
    main([role, *sys.argv[1:]])
