"""What a client costs a Pi, in an environment that holds a client and nothing else, and how soon a fleet misses one that is gone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any

from bench.loopback import PATIENCE_S, ROOT, Server, serve, wait_for
from bench.table import Row
from bramble.api import Server as Api
from bramble_client.learn import builtin
from bramble_protocol.graph import GraphFile

YEAR = 8760
PACKAGES = ("bramble", "protocol", "server", "edge_client", "inspector")
PING_INTERVAL_S, PING_TIMEOUT_S = 2, 3
DEATHS = 5
ENDLESS = ("--epochs", "1000", "--batch-size", "1", "--learning-rate", "1e-6", "--deadline", "1h")
"""A round in which real clients are still training when they die."""


class Environment:
    """A virtual environment with ``bramble-fl[client]``, as ``pip install`` makes it on a Pi."""

    def __init__(self, folder: Path) -> None:
        source = folder / "source"
        for package in PACKAGES:
            shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / file, source)
        self.folder = folder / "venv"
        self.python = self.folder / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", self.folder], check=True)
        pip: list[str | Path] = [
            self.python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-c",
            ROOT / "constraints.txt",
        ]
        subprocess.run([*pip, f"{source}[client]"], check=True, cwd=folder)

    def megabytes(self) -> float:
        """Return what all its files take, compiled ones included."""
        return sum(path.lstat().st_size for path in self.folder.rglob("*") if path.is_symlink() or path.is_file()) / 1e6


class Client:
    """A real client with mock sensors."""

    def __init__(self, python: Path, server: Server, folder: Path, name: str, *more: str) -> None:
        flags = ["--server", server.url, "--id", name, "--sensors", "mock", "--data-dir", str(folder / name), *more]
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("BRAMBLE_", "PYTHON"))}
        self.name = name
        with (folder / f"{name}.log").open("ab") as log:
            command: list[str | Path] = [python, "-m", "bramble_client", *flags]
            self.process = subprocess.Popen(command, cwd=folder, env=clean, stdout=subprocess.DEVNULL, stderr=log)

    def memory(self) -> float:
        """Return the proportional set size, in MB, of its process and all processes that it started."""
        total, waiting = 0.0, [self.process.pid]
        while waiting:
            pid = waiting.pop()
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1000
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        return total

    def send(self, number: signal.Signals) -> float:
        """Send a signal; return when, on the monotonic clock."""
        self.process.send_signal(number)
        return time.monotonic()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def peak(read: Callable[[], float]) -> Iterator[Callable[[], float]]:
    """Read a value again and again, and yield what returns the highest."""
    highest, done = [read()], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            highest[0] = max(highest[0], read())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: highest[0]
    finally:
        done.set()
        thread.join()


READY = """
import time
from bramble_client.learn import builtin
from bramble_client.learn.runner import Runner
graph = builtin.weather_graph()
for _ in range(6):
    runner, began = Runner(), time.monotonic()
    runner.load(graph.sha256, graph.flatbuffer)
    print(time.monotonic() - began)
    runner.close()
"""


def ready(python: Path, folder: Path) -> float:
    """Return the seconds until a training process has loaded a graph: the median of five, after one that read everything from the disk."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("BRAMBLE_", "PYTHON"))}
    done = subprocess.run([python, "-c", READY], cwd=folder, env=clean, check=True, capture_output=True, text=True)
    return median(float(line) for line in done.stdout.split()[1:])


def connected(server: Server, count: int) -> None:
    wait_for(lambda: server.api.status()["clients"] == count, f"{count} clients")


def give_data(server: Server, count: int) -> None:
    server.api.generate(count)
    wait_for(lambda: not server.api.status()["cycle_waiting_for"], "the readings")


def train(server: Server, task: str | None = None) -> dict[str, Any]:
    number = server.api.start(task)["round"]
    wait_for(lambda: server.api.status(task)["running"] is None, f"round {number}")
    record: dict[str, Any] = server.api.round(number)
    if record["state"] != "committed":
        raise RuntimeError(f"round {number} was {record['state']}: {record['reason']}")
    return record


def certified(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for this machine's own address; return it and its key."""
    certificate, key = folder / "server.crt", folder / "server.key"
    command: list[str | Path] = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    name = ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *name, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def memory(python: Path, *beside: str) -> tuple[float, float, int]:
    """Return a client's memory before it trains, its peak over three rounds on a year of readings, and the windows in them.

    Parameters
    ----------
    beside
        Names of further tasks, with a model as the first's, of which there is a round each time, too.
    """
    with tempfile.TemporaryDirectory() as name:
        certificate, key = certified(Path(name))
        further = [flag for task in beside for flag in ("--task", str(renamed(Path(name), task)))]
        flags = ("--min-clients", "1", "--tls-cert", str(certificate), "--tls-key", str(key), "--task", "climate", *further)
        with serve(Path(name), *flags) as server, Client(python, server, Path(name), "pi-1", "--ca", str(certificate)) as client:
            server.api = Api(server.url, ca=certificate, timeout=60)
            connected(server, 1)
            time.sleep(1)  # so that what its start took is given back
            idle = client.memory()
            give_data(server, YEAR)
            with peak(client.memory) as highest:
                samples = [train(server, task)["clients"]["pi-1"]["samples"] for _ in range(3) for task in (None, *beside)]
            return idle, highest(), samples[-1]


def renamed(folder: Path, task: str) -> Path:
    """Write the built-in task's graph as that of a task of another name."""
    graph = builtin.weather_graph()
    path = folder / f"{task}.tflite"
    path.write_bytes(GraphFile.pack(graph.flatbuffer, replace(graph.manifest, task=task), graph.initial, graph.state).data)
    return path


def leaving(python: Path, end: signal.Signals, *flags: str) -> float:
    """Return the seconds from a signal to a client in the middle of a round until the round no longer waits for it."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        server = stack.enter_context(serve(folder, "--min-clients", "2", *ENDLESS, *flags))
        dying, other = (stack.enter_context(Client(python, server, folder, client)) for client in ("pi-1", "pi-2"))
        connected(server, 2)
        give_data(server, 3500)
        server.api.start()
        wait_for(lambda: list((folder / dying.name / "graphs").glob("*.tflite")), "training to begin")
        began = dying.send(end)
        while dying.name in server.api.status()["waiting_for"]:
            if time.monotonic() - began > PATIENCE_S:
                raise TimeoutError(f"{dying.name} was waited for as if nothing had happened")
            time.sleep(0.005)
        took = time.monotonic() - began
        if server.api.status()["waiting_for"] != [other.name]:
            raise RuntimeError("the round did not go on without it")
        return took


def main() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bramble-client-") as name:
        environment = Environment(Path(name))
        idle, highest, windows = memory(environment.python)
        _, both, _ = memory(environment.python, "second")
        soon = ready(environment.python, Path(name))
        size = environment.megabytes()
        killed = [leaving(environment.python, signal.SIGKILL) for _ in range(DEATHS)]
        pings = ("--ping-interval", str(PING_INTERVAL_S), "--ping-timeout", str(PING_TIMEOUT_S))
        silent = [leaving(environment.python, signal.SIGSTOP, *pings) for _ in range(DEATHS)]
    return [
        Row("a client's memory while it trains", highest, "MB PSS", 68, f"all its processes, TLS, {windows:,} windows; Flower's: 293 MB"),
        Row("a client's memory while it trains two tasks", both, "MB PSS", 68, "one after the other, in the one process that trains"),
        Row("a client's memory before it trains", idle, "MB PSS", 40, "with TLS"),
        Row("its training process is ready after", soon, "s", None, "from nothing to a loaded graph, once a process's life"),
        Row("its installed environment", size, "MB", 250, "all files of the virtual environment, compiled; Flower's: 302 MB"),
        Row("a killed client leaves the round after", max(killed), "s", 1, f"the longest of {DEATHS}, median {median(killed):.3g} s"),
        Row(
            "a client whose power went leaves it after",
            max(silent),
            "s",
            PING_INTERVAL_S + 2 * PING_TIMEOUT_S,
            f"ping interval {PING_INTERVAL_S} s, time-out {PING_TIMEOUT_S} s, and the server checks once in a time-out",
        ),
    ]
