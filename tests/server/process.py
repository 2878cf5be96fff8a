"""A real server process on a port of its own, spoken to over real sockets."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from bramble.api import Server
from bramble_protocol.graph import GraphFile, Manifest, Metric
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Channel, TrainConfig
from tests import warm, wire
from tests.ports import kept
from tests.server.database import migrated
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
SIZE = 6
CHANNELS = (Channel("temperature", "°C"), Channel("humidity", "%"))
LAYOUT = Layout.of([("dense/kernel", [2, 2]), ("dense/bias", [2])])


def write_graph(folder: Path, layout: Layout = LAYOUT, task: str = "small", channels: Sequence[Channel] = CHANNELS) -> Path:
    """Write a small task: the server never runs a graph, so any bytes do for its flatbuffer."""
    metric = Metric("RMSE", "°C", "sqrt", "persistence: it will be as now")
    manifest = Manifest(task, "a small task", tuple(channels), 4, 3600.0, 1, channels[0].key, layout, metric, TrainConfig())
    initial = np.arange(layout.size, dtype=np.float32)
    path = folder / f"{task}.tflite"
    path.write_bytes(GraphFile.pack(b"\x1c\0\0\0TFL3 not run by the server", manifest, initial).data)
    return path


PATIENT = ("--ping-interval", "5m", "--ping-timeout", "5m")
"""A test's client answers pings only while it waits for something; on a busy machine that may be long ago."""


class NotReady(Exception):
    """The server ended before it was ready, with this exit code and this log."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"exit code {code}: {said}")
        self.code, self.said = code, said


class ServerProcess:
    """``python -m bramble_server``, or another script or another release's ``bramble server``, in its own process.

    It finds an empty database, unless it is to begin ``fresh``.
    """

    process: subprocess.Popen[str]

    def __init__(
        self, folder: Path, *flags: str, port: int = 0, layout: Layout = LAYOUT, script: Path | None = None, bramble: Path | None = None,
        fresh: bool = False, **environment: str,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.errors = folder / "server.log"
        arguments = ["--port", str(port or kept()), "--data-dir", str(folder / "data")]
        arguments += [] if "--task" in flags else ["--task", str(write_graph(folder, layout))]
        arguments += [*PATIENT, *flags]
        with self.errors.open("ab") as errors:
            env = warm.environment(**environment)
            options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": errors, "text": True, "cwd": ROOT, "env": env}
            if bramble:
                del env["PYTHONPATH"]
                self.process = subprocess.Popen([str(bramble), "server", *arguments], **options)
            else:
                if not fresh:
                    migrated(folder / "data")
                self.process = warm.Popen("bramble_server", *arguments, script=script, **options)
        assert self.process.stdout
        ready = self.process.stdout.readline()
        if not ready.startswith("bramble server ready on "):
            raise NotReady(self.stop(), self.log())
        self.url = ready.split()[-1]
        self.port = urlsplit(self.url).port or 0
        self.api = Server(self.url, timeout=60)

    def log(self) -> str:
        """What the server has written to its log so far."""
        return self.errors.read_text()

    def logged(self, text: str, times: int = 1) -> int:
        """How many lines of the log contain a text; waits until there are so many."""

        def count() -> int:
            return sum(text in line for line in self.log().splitlines())

        wait_for(lambda: count() >= times, f"{text!r} in the log, {times} times")
        return count()

    def request(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> wire.Answer:
        """Return status, body (parsed if it is JSON) and headers of one raw request."""
        return wire.request(self.url, method, path, headers, body)

    def get(self, path: str) -> Any:
        """Return the body of a raw GET that must succeed."""
        status, content, _ = self.request("GET", path)
        assert status < 300, (status, content)
        return content

    def measure(self, count: int) -> None:
        """Have all clients take so many readings, and wait for them."""
        self.api.generate(count)
        wait_for(lambda: not self.api.status()["cycle_waiting_for"], "everybody's readings")

    def ended(self, number: int) -> Any:
        """Wait for the end of a round; return its record. It is on the disk a moment before status and model show it: wait for both."""

        def over() -> Any:
            found = self.api.round(number)
            status = self.api.status()
            shown = [task["running"] for task in status.get("tasks", [status])]  # a server of release 0.1 has one task
            return found["state"] != "running" and number not in shown and found

        return wait_for(over, f"the end of round {number}")

    def empty(self) -> None:
        """Wait until nobody is there, no round is open, and the status tells of whoever left.

        The list of clients knows that at once, and the rest in its turn: what is asked for behind it, and refused, was after it.
        """
        wait_for(lambda: (found := self.api.status())["clients"] == 0 and found["running"] is None, "an empty server")
        assert self.request("POST", "/generate")[0] == 503

    def play(self) -> Any:
        """Start a round, wait for its end, and return its record."""
        return self.ended(self.api.start()["round"])

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        finally:
            if self.process.poll() is None:
                self.kill()
            assert self.process.stdout
            self.process.stdout.close()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if kind is not None:
            print(f"--- log of the server\n{self.log()[-20_000:]}")
