"""Output for people, whole also where it goes through a pipe: a name that is cut cannot be searched for."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from bramble_protocol.printable import printable

PIPED = 10_000
"""Columns of a pipe or a file, which have no edge."""


def console() -> Console:
    """Return standard output: as wide as the terminal, or without an edge where nobody looks at it directly."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=PIPED)


def tell(as_json: bool, found: Any, *lines: str) -> None:
    """Print what was done or found: as JSON for a program, or in lines, printable ones, for a person."""
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        for line in lines:
            print(printable(line, None))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table without frames whose first column, the name, is never cut; a column in which nothing stands is left out.

    Whatever a cell holds that is not printable becomes ``?``: much of it comes from other machines.
    """
    made = Table(box=None, padding=(0, 1))
    shown = [index for index, _ in enumerate(columns) if index == 0 or any(row[index] for row in rows)]
    for index in shown:
        made.add_column(columns[index], no_wrap=index == 0, overflow="ignore" if index == 0 else "fold")
    for row in rows:
        made.add_row(*(printable(row[index], None) for index in shown))
    return made
