"""``bramble strategies``: what a server can go by, and what can be set of it."""

from __future__ import annotations

import json
from typing import Any

from bramble_protocol import BrambleError, plugins
from bramble_protocol.printable import printable
from bramble_server.learning import parameters, selection, strategies
from bramble_server.learning.strategies import combining


def run(as_json: bool, selections: bool = False) -> int:
    """Print all strategies, or all selections; one that its package spoilt says so, and hides no other."""
    offered, one = (selection.OFFERED, _selection) if selections else (strategies.OFFERED, _one)
    taken = plugins.taken(offered.group, offered.builtin, offered.what)
    found = [*map(one, offered.names()), *({"name": name, "error": sentence} for name, sentence in taken)]
    print(json.dumps(found, indent=1) if as_json else "\n".join(line for item in found for line in _lines(item)))
    return 0


def _one(name: str) -> dict[str, Any]:
    try:
        kind, needs = strategies.kind(name), strategies.named(name, {}).needs
        combines = combining.combinations(kind())
    except BrambleError as error:
        return {"name": name, "error": str(error)}
    return {
        "name": name,
        "description": (kind.__doc__ or "").strip().partition("\n")[0],
        "linear": kind.linear,
        "streams": kind.streams,
        "copies": kind.copies,
        "least": kind().least,
        "needs": list(needs),
        "combines": combines,
        "parameters": parameters.listed(kind.takes),
    }


def _selection(name: str) -> dict[str, Any]:
    try:
        kind = selection.OFFERED.kind(name)
    except BrambleError as error:
        return {"name": name, "error": str(error)}
    description = (kind.__doc__ or "").strip().partition("\n")[0]
    combines = combining.selecting(name, kind.by_loss)
    return {
        "name": name,
        "description": description,
        "by_loss": kind.by_loss,
        "combines": combines,
        "parameters": parameters.listed(kind.takes),
    }


def _lines(item: dict[str, Any]) -> list[str]:
    lines = [f"{item['name']:13}{item.get('error') or item['description']}"]
    for each in item.get("parameters", []):
        limits = f", {each['range']}" if each["range"] else ""
        lines.append(f"{'':13}{each['name']}: {each['type']}{limits} (default {each['default']}). {each['description']}")
    return [printable(line, None) for line in lines]
