"""Servers and fleets of answering clients in processes of their own, for benchmarks over real sockets."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import bramble_protocol
from bramble import api
from bramble_protocol.graph import GraphFile, Manifest, Metric
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Channel

ROOT = Path(__file__).parents[1]
PATIENCE_S = 600


def write_graph(folder: Path, parameters: int) -> Path:
    """Write a task whose model has so many parameters. Nobody runs it here, so any bytes do for its flatbuffer."""
    width = parameters // 100
    layout = Layout.of([("dense/kernel", [100, width - 1]), ("dense/bias", [parameters - 100 * (width - 1)])])
    channels = (Channel("temperature", "°C"),)
    manifest = Manifest(
        "bench", "a model of a given size", channels, 1, 3600.0, 0, "temperature", layout, Metric("RMSE", "°C", "none", "none")
    )
    path = folder / "bench.tflite"
    initial = np.random.default_rng(0).standard_normal(layout.size, np.float32)
    path.write_bytes(GraphFile.pack(b"\x1c\0\0\0TFL3", manifest, initial).data)
    return path


class Process:
    """A Python process that says one line when it is ready, and ends when its input does or it is asked to."""

    def __init__(self, *arguments: str, log: Path, python: Path | str = sys.executable, tree: Path = ROOT) -> None:
        command, clean = [python, *arguments], {k: v for k, v in os.environ.items() if not k.startswith("BRAMBLE_")}
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=tree, env=clean
            )
        self.log = log

    def line(self) -> str:
        """Return the next line that it says."""
        assert self.process.stdout
        text = self.process.stdout.readline()
        if not text:
            raise RuntimeError(f"{self.process.args!r} ended: {self.log.read_text()[-2000:]}")
        return text.strip()

    def say(self, text: str) -> None:
        """Give it a line of input."""
        assert self.process.stdin
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def cpu(self) -> float:
        """Return the seconds of processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return its proportional set size in MB."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1000

    def end(self) -> None:
        """Ask it to end, and make it end."""
        self.process.terminate()
        try:
            self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


class Server(Process):
    """``python -m bramble_server``, or another program that says where it is ready in the same words."""

    def __init__(self, *arguments: str, log: Path, python: Path | str = sys.executable, tree: Path = ROOT) -> None:
        super().__init__(*arguments, log=log, python=python, tree=tree)
        self.url = self.line().rsplit(" ", 1)[1]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.api = api.Server(self.url, timeout=60)


@contextmanager
def serve(folder: Path, *arguments: str, tree: Path = ROOT) -> Iterator[Server]:
    """Run a real server in its own process, of this tree or of an earlier commit's, with its data in this folder and these flags."""
    module = "bramble_server" if (tree / "server" / "bramble_server").is_dir() else "server"
    flags = ("--port", "0", "--data-dir", str(folder / "server"), *arguments)
    server = Server("-m", module, *flags, log=folder / "server.log", tree=tree)
    try:
        yield server
    finally:
        server.end()


@contextmanager
def running(*arguments: str, parameters: int, tree: Path = ROOT) -> Iterator[Server]:
    """Run a server with these flags, and a model of this size that no client needs to understand."""
    with tempfile.TemporaryDirectory() as name:
        # by a process of the tree's own, which may know another format
        write = f"from pathlib import Path; from bench import loopback; print(loopback.write_graph(Path({name!r}), {parameters}))"
        command = [sys.executable, "-c", write]
        graph = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout.strip()
        with serve(Path(name), "--task", graph, *arguments, tree=tree) as server:
            yield server


@contextmanager
def fleet(
    url: str,
    clients: int,
    processes: int = 1,
    protocol: int = bramble_protocol.VERSION,
    addresses: bool = False,
    module: str = "bench.answering",
) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Connect clients that answer at once, spread over processes; yields what asks them for their reports.

    Parameters
    ----------
    protocol
        Version of the contract that they speak.
    addresses
        Whether each process has an address of its own.
    module
        What answers.
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        shares = [len(range(index, clients, processes)) for index in range(processes)]
        members = []
        for index, share in enumerate(shares):
            how = [str(protocol), *([f"127.0.1.{index + 1}"] if addresses else [])]
            member = Process("-m", module, url, str(share), f"p{index}", *how, log=Path(name, f"{index}.log"))
            stack.callback(member.end)
            members.append(member)
        for member in members:
            if member.line() != "connected":
                raise RuntimeError("a client could not connect")
        yield lambda: reports(members)


def reports(members: Sequence[Process]) -> list[dict[str, Any]]:
    """Return what members of a fleet saw since they were asked last."""
    for member in members:
        member.say("report")
    return [json.loads(member.line()) for member in members]


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Return the condition's first true value."""
    until = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        if time.monotonic() > until:
            raise TimeoutError(f"waited {PATIENCE_S} s in vain: {what}")
        time.sleep(0.2)
    return value


def rounds_ended(server: Server, count: int) -> list[dict[str, Any]]:
    """Wait until a server has run so many rounds; return them with their clients."""

    def ended() -> bool:
        rounds = server.api.rounds(limit=count)
        return len(rounds) == count and all(item["ended"] for item in rounds)

    wait_for(ended, f"{count} rounds")
    rounds: list[dict[str, Any]] = server.api.rounds(limit=count)
    return rounds


def many_files() -> None:
    """Allow as many open connections as the system does."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
