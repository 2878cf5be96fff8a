"""Output for people, whole also where it goes through a pipe: a name that is cut cannot be searched for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bramble_protocol.printable import printable

PIPED = 10_000
"""Columns of a pipe or a file, which have no edge."""

BROKEN = 4
"""Exit code of a command that finds a line of a chained file missing or changed."""


def console() -> Console:
    """Return standard output: as wide as the terminal, or without an edge where nobody looks at it directly."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=PIPED)


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
