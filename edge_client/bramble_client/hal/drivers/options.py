"""Options of one chip in ``[[sensor]]``, beside the keys that every sensor has: declared by its driver, checked before it is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, NoReturn

from bramble_client.hal.tables import Entry


@dataclass(frozen=True)
class Option:
    """One key that a driver takes.

    Parameters
    ----------
    name
        The key, and the keyword argument of the driver.
    about
        What it says, in a few words; with the unit of a number.
    default
        What the driver does without it, or None if it then goes by what the chip keeps.
    kind
        Of the value: ``float``, ``int``, ``bool``, ``str``, or ``dict`` for a table of texts.
    choices
        The values that there are, if they can be counted.
    low, high
        Bounds of a number.
    required
        Whether the driver cannot do without it.
    """

    name: str
    about: str
    default: Any = None
    kind: type = float
    choices: tuple[Any, ...] = ()
    low: float = -inf
    high: float = inf
    required: bool = False

    @property
    def values(self) -> str:
        """Which values it takes, for a person."""
        if self.choices:
            return ", ".join(_shown(choice) for choice in self.choices)
        if self.kind in (float, int):
            return f"{self.low:g} to {self.high:g}"
        return {bool: "true, false", str: "a text", dict: "a table of texts"}[self.kind]

    @property
    def usual(self) -> str:
        """The default, for a person."""
        return "required" if self.required else "-" if self.default is None else _shown(self.default)

    def read(self, entry: Entry) -> Any:
        """Return the value that an entry has for the option.

        Raises
        ------
        SensorError
            Of the entry's kind, if the value is none that the option takes.
        """
        value = entry.values[self.name]
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        fits = type(value) is self.kind
        if isinstance(value, dict):
            fits = fits and all(isinstance(text, str) for text in value.values())
        if isinstance(value, float | int):
            fits = fits and self.low <= value <= self.high
        if not fits or (self.choices and value not in self.choices):
            self._refuse(entry, value)
        return value

    def _refuse(self, entry: Entry, value: object) -> NoReturn:
        entry.wrong(self.name, f"expected {self.values} ({self.about}), not {_shown(value)}")


def read(options: tuple[Option, ...], entry: Entry) -> Mapping[str, Any]:
    """Return the options that an entry of the configuration sets, checked, by name.

    Raises
    ------
    SensorError
        Of the entry's kind, if a value is none that its option takes, or a required one is missing.
    """
    for option in options:
        if option.required and option.name not in entry.values:
            entry.wrong(option.name, f"is missing: {option.about}")
    return {option.name: option.read(entry) for option in options if option.name in entry.values}


def written(value: Any) -> str:
    """Return a value as the configuration writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_quoted(key)} = {_quoted(text)}" for key, text in value.items()) + " }"
    return _quoted(value) if isinstance(value, str) else _shown(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
