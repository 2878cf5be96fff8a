"""What a round costs besides training: clients that answer at once, beside a bare echo of the same bytes.

Measured at a client: from one ``client_update`` to the next while rounds run one after the other, so that everything is in
it: opening the round, sending, validating, folding, measuring, the commit to disk, and starting over.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from bench.beside_flower import ENDLESS, Window, bramble, watched
from bench.loopback import Server, fleet
from bench.table import Row

CLIENTS, PARAMETERS, ROUNDS, PARTS = 20, 10_000, 20, 5
ECHOES = {"stock": ("a bare Flask-SocketIO echo", 1.15), "own": ("the same echo over Bramble's WebSocket", None)}
"""What it is called, and how many times its round one of Bramble's may take."""


def echo(websocket: str) -> Window:
    with tempfile.TemporaryDirectory() as folder:
        server = Server("-m", "bench.echo", str(CLIENTS), str(ENDLESS), str(PARAMETERS), websocket, log=Path(folder, "log"))
        try:
            with fleet(server.url, CLIENTS) as report:
                return watched(server, report, ROUNDS)
        finally:
            server.end()


def main() -> list[Row]:
    ours: list[Window] = []
    bare: dict[str, list[Window]] = {websocket: [] for websocket in ECHOES}
    for _ in range(PARTS):  # in turns, so that whatever else the machine does hits all alike
        ours.append(bramble(CLIENTS, PARAMETERS, ROUNDS))
        for websocket, windows in bare.items():
            windows.append(echo(websocket))
    mine, cpu = told(ours)
    rows = [Row(f"a round of {CLIENTS} clients, {PARAMETERS / 1000:g} k parameters", mine, "ms", None, f"{PARTS * ROUNDS} rounds")]
    for websocket, (name, most) in ECHOES.items():
        theirs, their_cpu = told(bare[websocket])
        rows += [
            Row(f"round overhead, times {name}", mine / theirs, "", most, f"echo: {theirs:.1f} ms"),
            Row(
                f"the server's processor time, times that of {name}", cpu / their_cpu, "", None, f"{cpu:.3g} ms a round to {their_cpu:.3g}"
            ),
        ]
    return rows


def told(windows: list[Window]) -> tuple[float, float]:
    """Return the median milliseconds from one round to the next, and of processor time."""
    return median(period for window in windows for period in window.periods), median(window.cpu for window in windows)
