"""Reading TOML files made of ``[[tables]]``, with errors that name the line and the key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from bramble_client.hal.errors import SensorError


@dataclass(frozen=True)
class Entry:
    """One table of a file: its values, and where they are."""

    path: Path
    line: int
    values: dict[str, Any]
    lines: dict[str, int]
    kind: type[SensorError]

    def wrong(self, key: str, what: str) -> NoReturn:
        """Complain about a key."""
        raise self.kind(f"{self.path}, line {self.lines.get(key, self.line)}, key '{key}': {what}")

    def only(self, *keys: str) -> None:
        """Refuse keys that nobody asked for."""
        for key in self.values:
            if key not in keys:
                self.wrong(key, f"is not known here; the keys are {', '.join(keys)}")

    def text(self, key: str, pattern: str, default: str | None = None) -> str:
        """Return a text that fits a pattern."""
        value = self.values.get(key, default)
        if not isinstance(value, str):
            self.wrong(key, "is missing" if value is None else f"expected a text, not {value!r}")
        if not re.fullmatch(pattern, value):
            self.wrong(key, f"{value!r} does not fit {pattern}")
        return value

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        """Return a number within bounds."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.wrong(key, "is missing" if value is None else f"expected a number, not {value!r}")
        if not low <= value <= high:
            self.wrong(key, f"expected a number from {low:g} to {high:g}, not {value!r}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            self.wrong(key, f"expected true or false, not {value!r}")
        return value

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Return an integer within bounds."""
        value = self.values.get(key, default)
        if type(value) is not int:
            self.wrong(key, "is missing" if value is None else f"expected an integer, not {value!r}")
        if not low <= value <= high:
            self.wrong(key, f"expected an integer from {low:#x} to {high:#x}, not {value:#x}")
        return value

    def numbers(self, key: str) -> dict[str, float]:
        """Return numbers by name, none if the key is absent."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            self.wrong(key, f"expected numbers by channel, such as {{ temperature = -0.5 }}, not {value!r}")
        for name, number in value.items():
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) <= 1e9:
                self.wrong(key, f"expected a number for {name}, not {number!r}")
        return {name: float(number) for name, number in value.items()}


def read(path: Path, table: str, kind: type[SensorError], top: tuple[str, ...] = ()) -> tuple[dict[str, Any], list[Entry]]:
    """Read a file of ``[[table]]`` entries.

    Parameters
    ----------
    top
        Keys that may stand before the first entry.

    Returns
    -------
    The values before the first entry, and the entries.

    Raises
    ------
    SensorError
        Of the given kind, if the file cannot be read or is not TOML.
    """
    import tomllib  # 0.8 MB that a client without such a file does not need

    try:
        text = path.read_bytes().decode()
    except OSError as cause:
        raise kind(f"{path} cannot be read: {cause.strerror or cause}") from cause
    except UnicodeDecodeError as cause:
        raise kind(f"{path}: not UTF-8 text; save the file as UTF-8") from cause
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        where = re.search(r"line (\d+)", str(cause))
        line = int(where[1]) if where else text.count("\n") + 1
        key = text.split("\n")[line - 1].split("=")[0].strip()
        raise kind(f"{path}, line {line}, key '{key}': not TOML ({cause})") from cause
    entries = values.pop(table, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise kind(f"{path}, key '{table}': write each entry as [[{table}]]")
    for key in values:
        if key not in top:
            raise kind(f"{path}, line {_line_of(text, key)}, key '{key}': is not known here; entries begin with [[{table}]]")
    places = list(_places(text, table))
    return values, [_entry(path, places, i, entry, kind) for i, entry in enumerate(entries)]


def _entry(path: Path, places: list[tuple[int, dict[str, int]]], i: int, values: dict[str, Any], kind: type[SensorError]) -> Entry:
    line, lines = places[i] if i < len(places) else (1, {})
    return Entry(path, line, values, lines, kind)


def _line_of(text: str, key: str) -> int:
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"\s*\[*\s*[\"']?{re.escape(key)}(?![A-Za-z0-9_-])", line):
            return number
    return 1


def _places(text: str, table: str) -> Iterator[tuple[int, dict[str, int]]]:
    """Yield the line of each entry's header, and the lines of its keys."""
    current: tuple[int, dict[str, int]] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"\s*\[\[\s*{table}\s*\]\]", line):
            if current:
                yield current
            current = (number, {})
        elif current and (match := re.match(rf"\s*(?:\[\s*{table}\.)?[\"']?([A-Za-z0-9_-]+)[\"']?\s*[=.\]]", line)):
            current[1].setdefault(match[1], number)
    if current:
        yield current
