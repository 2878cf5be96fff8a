"""``bramble client receipt``: what left a client, from the file in which it says so; no server is asked."""

from __future__ import annotations

import json
from typing import Any

from bramble.exit_codes import ExitCode
from bramble.settings import ReceiptSettings
from bramble_client.deliver import receipt
from bramble_protocol.printable import printable


def run(settings: ReceiptSettings) -> int:
    """Print the newest lines and what there was in all; return 0, or ``ExitCode.BROKEN``."""
    found = receipt.read(settings.data_dir)
    lines = found.lines[-settings.lines :] if settings.lines else []
    if settings.as_json:
        print(json.dumps({"lines": lines, "total": totals(found.lines), "broken": found.broken}, indent=1))
    else:
        for line in lines:
            print(printable(said(line), None))
        first = found.lines[0] if found.lines else None
        if first and first["n"] > 1:
            print(f"(messages before line {first['n']} were let go)")
        print()
        for event, (messages, size) in totals(found.lines).items():
            print(f"{printable(event, None):20}{messages:>10,} message{'s' * (messages != 1)}, {size:,} bytes")
        print(f"The chain is broken: {found.broken}." if found.broken else f"{len(found.lines):,} lines, none missing.")
    return ExitCode.BROKEN if found.broken else ExitCode.OK


def totals(lines: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Return messages and bytes by kind."""
    found: dict[str, tuple[int, int]] = {}
    for line in lines:
        messages, size = found.get(line["event"], (0, 0))
        found[line["event"]] = messages + line.get("messages", 1), size + line["bytes"]
    return dict(sorted(found.items()))


def said(line: dict[str, Any]) -> str:
    """Return a line in words."""
    what = f"{line['messages']:,} sent until {line['until'][11:16]}" if "messages" in line else ", ".join(line["parts"])
    of = "".join(f" of {name} {line[name]}" for name in ("round", "evaluation") if name in line)
    task = f" ({line['task']})" if "task" in line else ""
    return f"{line['at']}  {line['event']}{of}{task}: {line['bytes']:,} bytes: {what}{bounds(line)}"


def bounds(line: dict[str, Any]) -> str:
    """Return what was done to an update before it left, and what all so far come to."""
    if line["event"] != receipt.UPDATE:
        return ""
    if "noise" not in line:
        return "; without noise"
    return (
        f"; shortened to {line['clip']:.4g}, noise of {line['noise']:.4g} added to each number here, "
        f"epsilon {line['epsilon']:.4g} so far (delta {line['delta']:g})"
    )
