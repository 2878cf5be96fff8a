"""The variables that an inventory may set, as the roles' specifications declare them, and what each may be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import BOOLEANS

KINDS: dict[str, tuple[Any, str, str]] = {
    "bool": (bool, "true or false", "true"),
    "int": (int, "a whole number", "1"),
    "list": (Sequence, "a list", '["a", "b"]'),
    "dict": (Mapping, "a table of names and values", '{"a": 1}'),
    "str": ((str, int, float), "a text", '"a"'),
    "path": (str, "a path", '"a"'),
    "raw": ((bool, str), "true or false", "true"),
}
"""What a variable of a type may be, how that is called, and an example of it."""
RANGES = {
    **dict.fromkeys(("server_port", "inspector_port"), (1, 65535)),
    "release_port": (1024, 65535),
    **dict.fromkeys(("server_memory", "inspector_memory", "client_memory"), (64, 1 << 20)),
    **dict.fromkeys(("base_clock_wait_seconds", "base_watchdog_seconds"), (0, 86400)),
    "preflight_free_mb": (0, 1 << 20),
    "server_min_clients": (1, 1 << 20),
}
"""The least and the most that a number may be which none of Bramble's own commands judges."""
SIZE = (r"[1-9][0-9]*([.][0-9]+)?[KMGT]?", "a size such as 100M")
FORMS = {
    **dict.fromkeys(("base_journal_max", "base_units_journal_max"), SIZE),
    **dict.fromkeys(
        ("client_mqtt_user", "client_mqtt_password", "server_mqtt_user", "server_mqtt_password"), (r".+", "one line, and not an empty one")
    ),
    "client_graph_keys": (r"ed25519:[A-Za-z0-9+/]{43}=", "public keys as bramble task key writes them, ed25519: and 44 characters"),
}
"""The form of a text, or of each in a list, that is written where nobody can refuse it any more."""


def known_variables(roles: Path) -> dict[str, dict[str, Any]]:
    """Return every variable that some role's argument_specs declare, each with its type and choices."""
    known: dict[str, dict[str, Any]] = {}
    for file in roles.glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(file.read_text("utf-8"))["argument_specs"].values():
            for name, option in entry.get("options", {}).items():
                known[name] = {key: option[key] for key in ("type", "elements", "choices") if key in option}
    return known


def unfit(values: Mapping[str, Any], known: Mapping[str, dict[str, Any]]) -> list[str]:
    """Return one sentence for each value that its variable cannot have.

    A specification would turn a text into a number or a list; templates and conditions use the value as it is.
    """
    return [
        sentence
        for name in sorted(values.keys() & known.keys())
        for sentence in [
            *_of_another_kind(name, values[name], known[name]),
            *ArgumentSpecValidator({name: known[name]}).validate({name: values[name]}).error_messages,
        ][:1]
    ]


def _of_another_kind(name: str, value: Any, described: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with a value, first what is most so."""
    kind = described.get("type", "str")
    fits, called, example = KINDS[kind]
    if value is None:
        yield f"{name} has no value: give it one, or delete the line"
    elif (
        not isinstance(value, fits)
        or (kind == "list" and isinstance(value, str))
        or (isinstance(value, bool) and kind not in ("bool", "raw"))
    ):
        text = f"the text: {value}; -e takes it as '{{\"{name}\": {example}}}'" if isinstance(value, str) else str(value)
        yield f"value of {name} must be {called}, got {text}"
    elif kind == "raw" and isinstance(value, str) and value.lower() not in BOOLEANS:
        yield f"value of {name} must be {called}, got the text: {value}"
    elif kind in ("list", "dict") and described.get("elements", "str") == "str":
        yield from _within(name, value)
    elif isinstance(value, str):
        yield from _of_text(name, value)
    if name in RANGES and isinstance(value, int):
        least, most = RANGES[name]
        if not least <= value <= most:
            yield f"value of {name} must be {least} to {most}, got {value}"
    form, wanted = FORMS.get(name, ("", ""))
    for text in value if isinstance(value, list) else [value]:
        if form and not re.fullmatch(form, str(text)):
            yield f"value of {name} must be {wanted}, got {text}"


def _of_text(name: str, value: str) -> Iterator[str]:
    if not value.strip():
        yield f"{name} is empty: give it a value, or delete the line"
    elif not value.isprintable():
        yield f"{name} has a line break, a tab or the like in it, {value!r}: write it in one line"


def _within(name: str, value: Any) -> Iterator[str]:
    """Say what is wrong inside a list of texts, or anywhere in a table of settings."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                yield f"{name} has the name {key!r}, which is no text: write it in quotes"
            elif item is None:
                yield f"{name}.{key} has no value: give it one, or delete the line"
            elif not isinstance(item, str):
                yield from _within(f"{name}.{key}", item)
    elif isinstance(value, Sequence):
        for item in value:
            if isinstance(item, bool) or not isinstance(item, str | int | float):
                yield f"value of {name} must be a list of texts, one of which is {item!r}"
            elif isinstance(item, str):
                yield from _of_text(f"a text in {name}", item)
