"""Replaces the process that read a client's settings by a smaller one, for the months that it runs: what reads settings takes 12 MB.

Typer and pydantic are needed for a moment and would stay; a Pi has little memory, and a client two processes. The process keeps
its number, so that systemd and a terminal see one client from its start to its end.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from bramble import logs
from bramble_protocol import BrambleError
from bramble_protocol.python_path import python_path

if TYPE_CHECKING:
    from bramble_client.settings import ClientSettings


CLIENTS_OF = ("engineio", "socketio")
"""Packages that import servers and asyncio beside the client, 3 MB of what a client never runs."""


GUESSES = "charset_normalizer"
"""A package that requests imports."""

PATH = "a path"
"""Marks a text as a path's; no setting that is a table has such a key."""


def run(settings: ClientSettings) -> int:
    """Go on as a process that has these settings and nothing else of this one."""
    read, write = os.pipe()
    os.write(write, packed(settings))  # some hundred bytes; a pipe takes 64 KiB before anybody reads
    os.close(write)
    os.set_inheritable(read, True)
    path = python_path("bramble", "bramble_client", "bramble_protocol")
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-P", "-m", "bramble.resident", str(read), str(logging.getLogger().level)]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"})


def packed(settings: ClientSettings) -> bytes:
    """Return what the settings say, with what follows from them, as JSON."""
    from bramble_client.settings import ClientSettings

    names = [*ClientSettings.model_fields, *(name for name, member in vars(ClientSettings).items() if isinstance(member, property))]
    values = {name: getattr(settings, name) for name in names}
    return json.dumps(values, default=lambda path: {PATH: os.fspath(path)}).encode()


def unpacked(data: bytes) -> Any:
    """Return an object with the same attributes."""
    return SimpleNamespace(**{name: _value(value) for name, value in json.loads(data).items()})


def _value(value: Any) -> Any:
    if isinstance(value, dict) and PATH in value:
        return Path(value[PATH])
    return tuple(value) if isinstance(value, list) else value


def main(descriptor: int, level: int) -> int:
    """Read the settings and run the client; return the exit code."""
    with os.fdopen(descriptor, "rb") as pipe:
        settings = unpacked(pipe.read())
    logs.configure(level)
    try:
        _guess_no_encodings()
        for package in CLIENTS_OF:
            _only_the_client_of(package)
        from bramble_client.commands import run

        return run.run(settings)
    except ModuleNotFoundError as error:
        print(f"bramble: {error.name} is not installed; get it with: pip install 'bramble-fl[client]'", file=sys.stderr)
    except BrambleError as error:
        print(f"bramble: {error}", file=sys.stderr)
    return 1


def _only_the_client_of(package: str) -> None:
    """Have a package without what else its ``__init__`` imports."""
    if spec := importlib.util.find_spec(package):
        sys.modules[package] = module = importlib.util.module_from_spec(spec)
        module.Client = importlib.import_module(f"{package}.client").Client  # type: ignore[attr-defined]


def _guess_no_encodings() -> None:
    """Have requests without the 2 MB with which it guesses the encoding of text that names none: a client gets JSON and bytes."""
    if importlib.util.find_spec(GUESSES):
        sys.modules[GUESSES] = module = ModuleType(GUESSES)
        vars(module).update(__version__=version(GUESSES), detect=lambda data: {"encoding": "utf-8"})


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
