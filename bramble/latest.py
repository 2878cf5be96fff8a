"""``bramble client latest``: what a client on this machine forecasts, from the file in which it says so."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bramble.settings import LatestSettings
from bramble_client.use.latest import FORMAT
from bramble_protocol.errors import BrambleError
from bramble_protocol.printable import printable


def run(settings: LatestSettings) -> int:
    """Print a line for each task; return 0.

    Raises
    ------
    BrambleError
        If there is no such file yet, or it is not a client's.
    """
    told = read(settings.file)
    if settings.as_json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return 0
    for task, found in told["tasks"].items():
        print(printable(line(task, found), None))
    return 0


def read(path: Path) -> dict[str, Any]:
    """Return what a client says in its file.

    Raises
    ------
    BrambleError
        If there is none, or it is something else.
    """
    try:
        told = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BrambleError(
            f"client latest: there is no {path}: the client does not run, has not measured for a whole window, or got no model yet; "
            "say with --file where its latest.json is"
        ) from None
    except OSError as error:
        raise BrambleError(f"client latest: cannot read {path} ({error.strerror})") from None
    except ValueError:
        told = None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise BrambleError(f"client latest: {path} is not the latest.json of a client of this release")
    return told


def line(task: str, found: dict[str, Any]) -> str:
    """Return in words what is known of a task."""
    values = ", ".join(f"{name} {_short(value)}" for name, value in found["outputs"].items())
    when, measured = (datetime.fromtimestamp(found[name], UTC).strftime("%Y-%m-%d %H:%M UTC") for name in ("for", "measured"))
    return (
        f"{task}: {found['target']} for {when}: {values} {found['unit']}; "
        f"by {found['in_use']}, model of round {found['round']}, measured until {measured}"
    )


def _short(value: Any) -> str:
    return f"[{', '.join(map(_short, value))}]" if isinstance(value, list) else f"{value:.4g}"
