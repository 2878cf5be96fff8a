"""What stands where an address leads to no page."""

from __future__ import annotations

from typing import Any

from bramble_inspector import parts


def layout(**_: str) -> list[Any]:
    """Return the page; Dash Pages finds it by this file's name."""
    return [parts.empty("There is no such page here. The pages are named at the top.")]
