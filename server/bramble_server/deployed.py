"""Tasks that were deployed to this server while it ran: files in the data directory, which the next process finds there."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bramble_protocol import signatures
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile
from bramble_server.settings import ServerSettings, by_task

FOLDER = "tasks"
_GRAPH, _SIGNATURES, _SETTINGS = ".tflite", ".sig", ".json"


@dataclass(frozen=True)
class Deployed:
    """A task as it was deployed."""

    graph: GraphFile
    signatures: bytes = b""
    """The file of its operators' signatures; empty without any."""
    chosen: tuple[str, ...] = ()
    """What was set for it alone, such as ``every=10m``."""

    @property
    def task(self) -> str:
        """Its name."""
        return self.graph.manifest.task

    def settings(self, settings: ServerSettings) -> ServerSettings:
        """Return the server's settings for this task; what the server's own say of it goes before what it was deployed with.

        Raises
        ------
        BrambleError
            If what was set for it does not work out.
        """
        try:
            chosen = by_task([f"{self.task}.{item}" for item in self.chosen]).get(self.task, {})
            track = {**settings.track, self.task: {**chosen, **settings.track.get(self.task, {})}}
            return settings.model_copy(update={"track": track}).of(self.task) if track[self.task] else settings
        except ValueError as error:
            raise BrambleError(str(error)) from None


def read(data_dir: Path) -> list[Deployed]:
    """Return the tasks that are deployed to the server of this data directory, by name.

    Raises
    ------
    BrambleError
        Naming the file that cannot be read, or holds something else.
    """
    return [_one(path) for path in sorted((data_dir / FOLDER).glob(f"*{_GRAPH}"))]


def _one(path: Path) -> Deployed:
    beside = {ending: path.with_suffix(ending) for ending in (_SIGNATURES, _SETTINGS)}
    try:
        graph = GraphFile.read(path.read_bytes())
        signed = beside[_SIGNATURES].read_bytes() if beside[_SIGNATURES].exists() else b""
        signatures.read_signatures(signed.decode("ascii", "replace"), str(beside[_SIGNATURES]))
        chosen: Any = json.loads(beside[_SETTINGS].read_text("utf-8")) if beside[_SETTINGS].exists() else []
        if graph.manifest.task != path.stem or not (isinstance(chosen, list) and all(isinstance(item, str) for item in chosen)):
            raise ValueError("it is not what was deployed under this name")
    except (OSError, ValueError, BrambleError) as error:
        why = getattr(error, "strerror", None) or error
        raise BrambleError(f"task: {path}, which was deployed here, cannot be used ({why}); delete it, and deploy it again") from error
    return Deployed(graph, signed, tuple(chosen))


def keep(data_dir: Path, deployed: Deployed) -> None:
    """Write a task's files, whole or not at all; return once they are on the disk.

    Raises
    ------
    BrambleError
        If they cannot be written.
    """
    folder = data_dir / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # the graph last: without it there is no task
        for ending, content in (
            (_SIGNATURES, deployed.signatures),
            (_SETTINGS, json.dumps(deployed.chosen).encode()),
            (_GRAPH, deployed.graph.data),
        ):
            _write(folder / f"{deployed.task}{ending}", content)
        _sync(folder)
    except OSError as error:
        raise BrambleError(f"--data-dir: {error.filename or folder} cannot be written ({error.strerror})") from error


def forget(data_dir: Path, task: str) -> None:
    """Delete a task's files.

    Raises
    ------
    BrambleError
        If they cannot be deleted.
    """
    folder = data_dir / FOLDER
    try:
        for ending in (_GRAPH, _SETTINGS, _SIGNATURES):
            (folder / f"{task}{ending}").unlink(missing_ok=True)
        _sync(folder)
    except OSError as error:
        raise BrambleError(f"--data-dir: {error.filename or folder} cannot be deleted ({error.strerror})") from error


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
