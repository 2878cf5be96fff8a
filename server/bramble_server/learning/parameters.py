"""What can be set of a strategy or a selection: fields of a frozen dataclass with their ranges, and how values are read into them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

from bramble_protocol.errors import BrambleError
from bramble_protocol.nearest import nearest

KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number"}
"""Types that a parameter may have, and what a sentence calls their values."""
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True)
class Parameters:
    """What can be set, as fields made by :func:`parameter`. FedAvg has nothing."""


P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True)
class Chosen:
    """What settings name (a strategy, a codec, a selection), and what was set of it: what a server goes by in all of its rounds."""

    name: str
    parameters: Parameters

    @property
    def set(self) -> dict[str, Any]:
        """The parameters by name."""
        return dict(vars(self.parameters))

    def __str__(self) -> str:
        return described(self.name, self.set)


def described(name: str, values: Mapping[str, Any]) -> str:
    """Return a name and what was set, as a log names them."""
    return f"{name} ({', '.join(f'{key}={value}' for key, value in values.items())})" if values else name


@dataclass(frozen=True)
class Range:
    """Which values a number may have."""

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        return math.isfinite(value) and self.least <= value <= self.most and self.above < value < self.below

    def __str__(self) -> str:
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f"{self.least:g} to {self.most:g}"
        bounds = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{words} {bound:g}" for words, bound in bounds.items() if math.isfinite(bound))


def parameter(
    default: Any,
    description: str,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> Any:
    """Declare one field of a strategy's ``Parameters``, which is a bool, an int or a float.

    Parameters
    ----------
    default
        Its value where nothing is said.
    description
        What it does, in one sentence for ``bramble strategies``.
    least, most, above, below
        Its range: the first two belong to it, the other two do not.
    """
    return field(default=default, metadata={"description": description, "range": Range(least, most, above, below)})


def read(kind: type[P], given: Mapping[str, Any], owner: str, setting: str = "strategy_option") -> P:
    """Build parameters from settings: numbers as TOML has them, or as text.

    Parameters
    ----------
    kind
        What the strategy takes, or whatever else is chosen by name.
    given
        Values by name.
    owner
        Its name.
    setting
        What a refusal calls the setting that has them.

    Raises
    ------
    BrambleError
        In one sentence: the parameter that is unknown, of another type or out of range, what it may be, and what was meant.
    """
    types, known = get_type_hints(kind), {item.name: item for item in fields(kind)}
    values = {}
    for name, value in given.items():
        if name not in known:
            raise BrambleError(f"{setting}: {owner} has no parameter {name!r}{_instead(name, known, types)}")
        values[name] = _value(f"{setting}: {name} of {owner}", value, types[name], known[name])
    return kind(**values)


def listed(kind: type[Parameters]) -> list[dict[str, Any]]:
    """Return name, type, range, default and description of each parameter."""
    types = get_type_hints(kind)
    return [
        {
            "name": item.name,
            "type": types[item.name].__name__,
            "range": str(item.metadata["range"]),
            "default": item.default,
            "description": item.metadata["description"],
        }
        for item in fields(kind)
    ]


def fault(kind: object) -> str | None:
    """Say why something cannot be what a strategy takes; None if it can."""
    if not (isinstance(kind, type) and issubclass(kind, Parameters) and kind.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        return "what it takes is no frozen dataclass made from Parameters"
    try:
        types = get_type_hints(kind)
    except Exception as error:  # an annotation that is no type
        return f"its parameters cannot be read ({type(error).__name__}: {error})"
    for item in fields(kind):
        if types.get(item.name) not in KINDS or "range" not in item.metadata or item.default is MISSING:
            return f"its parameter {item.name} is not declared as a bool, int or float by parameter()"
        if item.name == "name":
            return "its parameter name would be taken for the strategy's own in settings"
    return None


def close(name: str, known: Iterable[str]) -> str:
    """Return what was probably meant, as the end of a sentence; nothing if nothing is near."""
    found = nearest(name, known)
    return f", did you mean {found!r}?" if found else ""


def _expected(kind: type, item: Field[Any]) -> str:
    limits = str(item.metadata["range"])
    return f"{KINDS[kind]}{f', {limits}' if limits else ''}"


def _instead(name: str, known: Mapping[str, Field[Any]], types: Mapping[str, type]) -> str:
    if not known:
        return ", for it has none"
    found = nearest(name, known)
    if found:
        return f", did you mean {found!r} ({_expected(types[found], known[found])})?"
    return "; it has " + "; ".join(f"{each} ({_expected(types[each], item)})" for each, item in known.items())


def _value(where: str, value: Any, kind: type, item: Field[Any]) -> Any:
    expected = f"{where} is {_expected(kind, item)}, got {str(value)[:60]!r}"
    try:
        if kind is bool:
            return value if isinstance(value, bool) else _WORDS[str(value).strip().lower()]
        if isinstance(value, bool) or not isinstance(value, int | float | str) or (kind is int and isinstance(value, float)):
            raise BrambleError(expected)
        number = kind(value)
        if number not in item.metadata["range"]:
            raise BrambleError(expected)
    except (ValueError, KeyError, OverflowError):
        raise BrambleError(expected) from None
    return number
