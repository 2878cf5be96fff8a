"""Bytes on the wire, per client and round, counted by a proxy between clients and server, and how exact an answer of few bytes is.

Once with the real client and the built-in task, and for models of other sizes with clients that answer at once.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np

from bench.learning import SITES, Site
from bench.loopback import Process, Server, fleet, running, serve, wait_for
from bench.table import Row
from bramble_client.learn.trainer import Trainer
from bramble_protocol import codecs
from bramble_protocol.messages import ClientUpdate
from bramble_server import tasks

CLIENTS, ROUNDS = 2, 5
BEFORE = 10
"""Rounds that the fleet has learnt when its answers are compared: they move the weights less and less."""
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
            for end in (near, far):  # as server and clients have it: without, every short message waits 40 ms for an acknowledgement
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


def lost(encodings: Sequence[str]) -> dict[str, float]:
    """Return how much of what five real trainers changed in a round is lost on the wire: root mean square, of that of the change."""
    graph = tasks.load("climate")
    manifest, model = graph.manifest, graph.initial
    sites = [site.until(site.cut) for site in (Site.load(name, graph) for name in SITES)]
    errors, changes = dict.fromkeys(encodings, 0.0), 0.0
    with tempfile.TemporaryDirectory() as name:
        trainers = [Trainer(Path(name) / site.name, lambda _: graph.data, site.name) for site in sites]
        for number in range(1, BEFORE + 2):
            config = replace(manifest.config, epochs=1, seed=number)
            asked = ClientUpdate(number, manifest.task, graph.sha256, manifest.layout, "float32", "float32", model, config)
            trained = [trainer.run(asked, site.columns, None).complete.weights for trainer, site in zip(trainers, sites, strict=True)]
            base, model = model, np.stack(trained).mean(axis=0, dtype=np.float64).astype(np.float32)
    for weights in trained:
        changes += float(np.square(weights - base).sum())
        for encoding in encodings:
            came = codecs.decode(codecs.encode(weights, manifest.layout, encoding, base), manifest.layout, encoding, base)
            errors[encoding] += float(np.square(came - weights).sum())
    return {encoding: float(np.sqrt(error / changes)) for encoding, error in errors.items()}


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
    found = lost(["float16", "delta-float16"])
    for encoding, share in found.items():
        about = f"root mean square, {len(SITES)} climates, one epoch after {BEFORE} rounds; 2 B a weight"
        rows.append(Row(f"of what a client changed, lost on the way as {encoding}", 100 * share, "%", ratio_of=about))
    return rows
