"""Bytes on the wire, per client and round, counted by a proxy between clients and server.

Once with the real client and the built-in task, and for models of other sizes with clients that answer at once.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from bench.loopback import Process, Server, fleet, running, serve, wait_for
from bench.table import Row
from bramble_server import tasks

CLIENTS, ROUNDS = 2, 5
SIZES = (10_000, 1_000_000)


class Counter:
    """A TCP proxy that counts what goes up to the server and down from it, heartbeats and acknowledgements included."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.bytes = {"up": 0, "down": 0}
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            for way, source, sink in (("up", near, far), ("down", far, near)):
                threading.Thread(target=self._carry, args=(way, source, sink), daemon=True).start()

    def _carry(self, way: str, source: socket.socket, sink: socket.socket) -> None:
        with source:
            try:
                while data := source.recv(1 << 16):
                    self.bytes[way] += len(data)
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                return

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def run_round(server: Server) -> None:
    """Start a round and wait until it is over."""
    number = server.api.start()["round"]
    wait_for(lambda: server.api.status()["running"] is None, f"round {number}")
    if server.api.round(number)["updates"] != CLIENTS:
        raise RuntimeError(f"round {number} went on without a client")


def per_round(parameters: int) -> dict[str, float]:
    """Return the bytes up and down for one client in one round, a mean over rounds."""
    with (
        running("--min-clients", str(CLIENTS), parameters=parameters) as server,
        Counter(server.port) as counter,
        fleet(counter.url, CLIENTS) as report,
    ):
        before = dict(counter.bytes)
        taken = 0
        for _ in range(ROUNDS):
            run_round(server)
        while taken < ROUNDS * CLIENTS:  # the last acknowledgement may still be on its way
            taken += report()[0]["accepted"]
        return {way: (count - before[way]) / ROUNDS / CLIENTS for way, count in counter.bytes.items()}


def per_round_of_real_clients() -> dict[str, float]:
    """Return the same for real clients that train the built-in task on replayed recordings."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        server = stack.enter_context(serve(folder, "--min-clients", str(CLIENTS)))
        counter = stack.enter_context(Counter(server.port))
        for index in range(CLIENTS):
            client, where = f"pi-{index}", folder / f"pi-{index}"
            flags = ("--server", counter.url, "--id", client, "--sensors", "mock", "--data-dir", str(where))
            stack.callback(Process("-m", "bramble_client", *flags, log=folder / f"{client}.log").end)
        wait_for(lambda: server.api.status()["clients"] == CLIENTS, "the clients")
        server.api.generate(200)
        wait_for(lambda: not server.api.status()["cycle_waiting_for"], "the readings")
        run_round(server)  # in the first one the graph is fetched, and the forecasts of all that is new are mirrored
        before = dict(counter.bytes)
        for _ in range(ROUNDS):
            run_round(server)
        return {way: (count - before[way]) / ROUNDS / CLIENTS for way, count in counter.bytes.items()}


def rows_of(what: str, parameters: int, counts: dict[str, float]) -> list[Row]:
    raw = 4 * parameters
    return [
        Row(
            f"{way} per client and round, {what}",
            count,
            "B",
            int(1.02 * raw + 2000),
            f"{raw:,} B of weights and {count - raw:,.0f} B besides",
        )
        for way, count in counts.items()
    ]


def main() -> list[Row]:
    rows = rows_of("a real client, climate", tasks.load("climate").manifest.layout.size, per_round_of_real_clients())
    for parameters in SIZES:
        rows += rows_of(f"{parameters:,} parameters", parameters, per_round(parameters))
    return rows
