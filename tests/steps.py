"""What a tutorial has one type, and what it shows of the answer."""

from __future__ import annotations

import re

from tests.pasted import ROOT

STEP = re.compile(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)
GAP = r"(?:\s|\x1b\[[\d;?]*[A-Za-z])+"
"""Blanks, or what colours a terminal."""
FIGURE = re.compile(r"[-+]?[0-9a-f]*\d[0-9a-f.:,-]*")


def like(line: str) -> str:
    """Return an expression for a line with other figures, and other gaps between its columns."""
    return GAP.join(r"\S+".join(re.escape(part) for part in FIGURE.split(word)) for word in line.split())


def steps(page: str) -> list[tuple[str, list[str]]]:
    """Return what is typed, and the lines that are shown of what it says."""
    return [
        (typed, [line for line in shown.splitlines() if line.strip()]) for typed, shown in STEP.findall((ROOT / page).read_text("utf-8"))
    ]
