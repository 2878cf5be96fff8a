"""``bramble data export``: write what a client mirrored as a recording, for a spreadsheet or for ``--replay``."""

from __future__ import annotations

import csv
from datetime import UTC, datetime

from bramble import terminal
from bramble.api import Server
from bramble.connection import Fleet
from bramble.data.settings import ExportSettings
from bramble_protocol.errors import BrambleError


def run(settings: ExportSettings) -> int:
    """Write the file; return 0.

    Raises
    ------
    BrambleError
        If the server refuses or has no readings of the client, or the file cannot be written.
    """
    found = Fleet(Server.of(settings)).columns(settings.client).get(settings.client, {})
    channels = {key: dict(zip(column["t"], column["value"], strict=True)) for key, column in found.items() if not key.endswith("forecast")}
    if not any(channels.values()):
        raise BrambleError(f"data export: the server has no readings of {settings.client}; bramble client list shows who there is")
    times = sorted({at for column in channels.values() for at in column})
    rows = [
        [datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z"), *(column.get(at) for column in channels.values())]
        for at in times
    ]
    output = settings.output
    try:
        with output.open("x", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([["time", *channels], *rows])
    except OSError as error:
        raise BrambleError(f"data export: {output} cannot be written ({error.strerror}); say where with --output") from None
    told = {"file": str(output), "rows": len(rows), "channels": list(channels)}
    terminal.tell(settings.as_json, told, f"{output}: {len(rows):,} rows of {', '.join(channels)}")
    return 0
