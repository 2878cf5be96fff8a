"""A real client process, as a Pi runs it."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from tests import warm
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
CLIMATE = ROOT / "server/bramble_server/tasks/climate.tflite"


class ClientProcess:
    """``python -m bramble_client``, another script like it, or another release's client; its data survive in ``folder``."""

    process: subprocess.Popen[Any]

    def __init__(
        self,
        url: str,
        folder: Path,
        *flags: str,
        name: str = "pi-1",
        bramble: Path | None = None,
        script: Path | None = None,
        **variables: str,
    ) -> None:
        self.name = name
        self.folder = folder / name
        self.errors = folder / f"{name}.log"
        self._before = len(self.errors.read_text()) if self.errors.exists() else 0
        arguments = ["--server", url, "--id", name, "--sensors", "mock", "--data-dir", str(self.folder), "--reconnect-max", "0.2", *flags]
        self.output = folder / f"{name}.out"
        with self.errors.open("ab") as errors, self.output.open("wb") as output:
            options: dict[str, Any] = {"stdout": output, "stderr": errors, "cwd": ROOT, "env": warm.environment(**variables)}
            if bramble:
                del options["env"]["PYTHONPATH"]
                self.process = subprocess.Popen([str(bramble), "client", *arguments], **options)
            else:
                self.process = warm.Popen("bramble_client", *arguments, script=script, **options)

    def log(self) -> str:
        """What this process has written to its log so far."""
        return self.errors.read_text()[self._before :]

    def wait_log(self, text: str, times: int = 1) -> None:
        """Wait until so many lines of the log contain a text."""

        def logged() -> bool:
            assert self.process.poll() is None, f"{self.name} ended with code {self.process.poll()}:\n{self.log()}"
            return self.logged(text) >= times

        wait_for(logged, f"{text!r} in the log of {self.name}, {times} times")

    def logged(self, text: str) -> int:
        """How many lines of the log contain a text."""
        return sum(text in line for line in self.log().splitlines())

    def wait_connected(self) -> ClientProcess:
        """Wait until it has shaken hands."""
        wait_for(lambda: "connected to" in self.output.read_text() or self.process.poll() is not None, f"{self.name} to connect")
        assert self.process.poll() is None, self.log()
        return self

    @property
    def samples(self) -> int:
        """How many it keeps."""
        with contextlib.closing(sqlite3.connect(self.folder / "readings.db")) as db:
            return int(db.execute("SELECT count(*) FROM samples").fetchone()[0])

    def waiting(self) -> list[str]:
        """Events that wait in its outbox."""
        path = self.folder / "outbox.db"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(path)) as db:
            return [row[0] for row in db.execute("SELECT event FROM outbox ORDER BY lane, seq")]

    def delivered(self) -> None:
        """Wait until the server has taken all that it had to say; what is to be noted of an answer that counts is noted then."""
        wait_for(lambda: not self.waiting(), f"the outbox of {self.name} to empty")

    def children(self) -> list[int]:
        """Processes that it has started and that are alive."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def __enter__(self) -> ClientProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.kill()
        if kind is not None:
            print(f"--- log of {self.name}\n{self.errors.read_text()}")
