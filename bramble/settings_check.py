"""``bramble settings check``: whether commands could run with settings files, without starting anything or asking this machine."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings

from bramble import flags
from bramble.flags import SettingError
from bramble_client.settings import ClientSettings
from bramble_protocol import BrambleError
from bramble_protocol.printable import printable
from bramble_server.settings import ServerSettings

SETTINGS = ("server.toml", "client.toml", "client-*.toml", "inspector.toml", "fleet.toml")
"""What a release's settings files are called below its ``etc/bramble``."""


def _of_server(settings: ServerSettings) -> None:
    from bramble_server import foundation  # where clients run, what it needs is not installed

    foundation.read(settings)


def _of_client(settings: ClientSettings) -> None:
    from bramble_client.commands import startup  # nor this where the server does

    startup.check_files(settings)


_READ: dict[type[BaseSettings], Callable[[Any], object]] = {ServerSettings: _of_server, ClientSettings: _of_client}
"""What a room reads of its settings' files when it starts."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file."""

    file: str
    table: str
    key: str
    """Empty where several settings do not fit together, or the file cannot be read."""
    sentence: str

    def __str__(self) -> str:
        where = f"[{self.table}] {self.key}: " if self.key else f"[{self.table}]: " if self.table else ""
        return f"{self.file}: {where}{self.sentence}"


def run(paths: list[Path], as_json: bool) -> int:
    """Print what is wrong with the files; return 1 if anything is, else 0."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what a start would log of a recording is no verdict
    try:
        problems = [problem for path in paths for problem in check(path)]
    finally:
        logging.disable(before)
    if as_json:
        print(json.dumps([asdict(problem) for problem in problems]))
    else:
        for problem in problems:
            print(printable(str(problem), None), file=sys.stderr)
    return 1 if problems else 0


def check(path: Path) -> list[Problem]:
    """Judge one file of settings, or all of those below ``etc/bramble`` of a folder.

    In a folder, a path that begins with / means what lies below that folder. What is not there is not judged: keys and tokens come
    to a host by themselves.
    """
    if not path.is_dir():
        return list(_judge(path, None))
    files = sorted({file for name in SETTINGS for file in (path / "etc/bramble").glob(name)})
    if not files:
        return [Problem(str(path), "", "", f"there is no settings file in its etc/bramble; one is called {', '.join(SETTINGS)}")]
    return [problem for file in files for problem in _judge(file, path)]


def _judge(path: Path, root: Path | None) -> Iterator[Problem]:
    try:
        content = flags.document(path)
        flags.refuse_unknown_tables(path, content)
    except SettingError as error:
        yield from (Problem(str(path), "", fault.key, fault.sentence) for fault in error.faults)
        return
    if not content:
        yield Problem(str(path), "", "", f"it has no table; it may have [{'], ['.join(flags.TABLES)}]")
    said = set[Problem]()
    for table in content:
        for cls in flags.commands(table):
            for problem in _of_command(path, content, table, cls, root):
                if problem not in said:
                    said.add(problem)
                    yield problem


def _of_command(shown: Path, content: dict[str, Any], table: str, cls: type[BaseSettings], root: Path | None) -> Iterator[Problem]:
    try:
        settings = flags.of_file(cls, table, shown, content)
    except SettingError as error:
        yield from (Problem(str(shown), table, fault.key, fault.sentence) for fault in error.faults)
        return
    read = _READ.get(cls)
    if read is None:
        return
    try:
        read(settings if root is None else settings.model_copy(update=_below(root, settings)))
    except BrambleError as error:
        yield Problem(str(shown), table, _blamed(str(error), settings), str(error) if root is None else str(error).replace(str(root), ""))


def _below(root: Path, settings: BaseSettings) -> dict[str, Any]:
    """Return where the files that settings name lie below a folder, and the default for each that does not."""
    moved: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if name == "task":
            places = [(item, root / item.lstrip("/") if item.startswith("/") else None) for item in value]
            there = tuple(str(place or item) for item, place in places if place is None or place.exists())
            moved[name] = there or field.get_default(call_default_factory=True)
            if len(there) < len(value):  # what is set for one that is not there is not judged either
                moved["track"] = {}
            continue
        if not (isinstance(value, Path) or (isinstance(value, str) and value.startswith("/"))):
            continue
        place = root / str(value).lstrip("/")
        moved[name] = (
            (type(value)(place) if place.exists() else field.get_default(call_default_factory=True)) if name != "data_dir" else value
        )
    return moved


def _blamed(sentence: str, settings: BaseSettings) -> str:
    """Return the setting that a sentence is about: the one that it begins with, or whose file it names."""
    if sentence.startswith("graph:") and isinstance(settings, ServerSettings):
        return "task"
    for name in type(settings).model_fields:
        if sentence.startswith((f"{name}:", f"{flags.flag_name(name)}:")):
            return name
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, Path) and value.name in sentence:
            return name
    return ""
