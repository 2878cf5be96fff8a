"""Measured figures as rows, on the terminal and in ``RESULTS.md``."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

HEADINGS = ("Figure", "Measured", "Limit", "Compared with", "Verdict")


@dataclass(frozen=True)
class Row:
    """One figure. Without a limit it is there to be read, not to be judged.

    Parameters
    ----------
    measured, unit
        The value; an empty unit for a plain ratio.
    limit, bound
        What was promised, and on which side of it the value must lie.
    ratio_of
        What the value is a ratio of or was compared with, in words.
    ok
        The verdict, where it is not simply that of the limit.
    """

    name: str
    measured: float
    unit: str = ""
    limit: float | None = None
    ratio_of: str = ""
    ok: bool | None = None
    bound: Literal["at most", "at least"] = "at most"

    @property
    def verdict(self) -> bool | None:
        """Whether the promise is kept; None where there is none."""
        if self.ok is not None or self.limit is None:
            return self.ok
        return self.measured <= self.limit if self.bound == "at most" else self.measured >= self.limit

    def cells(self) -> tuple[str, ...]:
        """Return the row as text."""
        limit = "" if self.limit is None else f"{self.bound} {_quantity(self.limit, self.unit)}"
        verdict = {True: "holds", False: "falls short", None: ""}[self.verdict]
        return self.name, _quantity(self.measured, self.unit), limit, self.ratio_of, verdict


def _quantity(value: float, unit: str) -> str:
    digits = f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"
    return f"{digits} {unit}".rstrip()


def print_table(rows: Iterable[Row], title: str = "") -> None:
    """Print rows on the terminal."""
    table = Table(*HEADINGS, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row.cells(), style={True: "green", False: "red", None: None}[row.verdict])
    console = Console()
    (console if console.is_terminal else Console(width=150)).print(table)


def machine() -> str:
    """Say in one line what the figures were measured on."""
    try:
        found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    name = found[1].strip() if found else platform.machine()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}, {datetime.date.today():%Y-%m-%d}"


def section(name: str, rows: Sequence[Row]) -> str:
    """Return the section of ``RESULTS.md`` for one module."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in rows)]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return f"## {name}\n\n`python -m bench {name}` on {machine()}.\n\n{table}\n"


PREAMBLE = """# Measured figures

Written by `make bench`; a section is replaced when its benchmark runs again. A verdict is there where a figure was
promised, and figures that fall short stay in the table.
"""


def update(path: Path, sections: dict[str, str]) -> None:
    """Replace these sections of a results file, and leave the others as they are."""
    known = {}
    if path.exists():
        for part in re.split(r"^(?=## )", path.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            known[part.split("\n", 1)[0].removeprefix("## ")] = part.rstrip() + "\n"
    path.write_text("\n".join((PREAMBLE, *(text for _, text in sorted({**known, **sections}.items())))), "utf-8")
