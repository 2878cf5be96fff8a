"""Plain tables: few columns, a row for each thing, and what does not fit scrolls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import html

from bramble_inspector import parts


def table(name: str, titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """Return a table; ``name`` is what its file is called where somebody takes it along."""
    head = html.Thead(html.Tr([html.Th(title, scope="col") for title in titles]))
    body = html.Tbody([html.Tr([html.Td(cell) for cell in row]) for row in rows])
    return html.Div(html.Table([head, body]), className="rows", tabIndex="0", role="region", **parts.aria(label=name))


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many digits, or a dash."""
    return "–" if value is None else f"{value:.{digits}g}"
