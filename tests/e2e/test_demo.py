"""The demo as a newcomer runs it: real processes, real sockets, real training."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import requests

from tests.waiting import wait_for

DEMO = [sys.executable, "-m", "bramble", "demo", "--port", "0", "--inspector-port", "0"]


class Demo:
    """A running demo whose output is collected as it comes."""

    def __init__(self, *arguments: str) -> None:
        environment = {**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [*DEMO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
        )
        self.output = ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line

    def wait_for(self, pattern: str) -> re.Match[str]:
        def found() -> re.Match[str] | None:
            match = re.search(pattern, self.output)
            assert match or self.process.poll() is None, f"the demo ended without {pattern!r}:\n{self.output}"
            return match

        return wait_for(found, f"{pattern!r} in the demo's output", within=200)

    @property
    def children(self) -> list[psutil.Process]:
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found


@pytest.fixture
def start() -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def starter(*arguments: str) -> Demo:
        started.append(Demo(*arguments))
        return started[-1]

    yield starter
    for demo in started:
        if demo.process.poll() is None:
            demo.process.send_signal(signal.SIGTERM)
        demo.process.wait(60)
        assert demo.process.stdout is not None
        demo.process.stdout.close()


@pytest.mark.parametrize("task", ["climate", "room"])
def test_a_short_demo_commits_every_round_and_ends_by_itself(start: Callable[..., Demo], task: str) -> None:
    demo = start("--clients", "3", "--rounds", "2", "--exit", "--task", task)
    demo.wait_for("2 of 2 rounds committed")
    assert demo.process.wait(60) == 0
    lines = re.findall(r"round +(\d+)  3 clients .* loss ([\d.]+) to ([\d.]+)  RMSE ([\d.]+) °C, persistence ([\d.]+) °C", demo.output)
    assert [line[0] for line in lines] == ["1", "2"]
    assert "Traceback" not in demo.output


def test_ctrl_c_stops_every_process_and_leaves_nothing_behind(start: Callable[..., Demo]) -> None:
    demo = start("--clients", "2", "--rounds", "1")
    folder = Path(demo.wait_for(r"logs: (\S+)/logs")[1])
    inspector = demo.wait_for(r"Watch the fleet learn: (http://\S+)")[1]
    demo.wait_for("Ctrl-C stops everything")
    assert requests.get(inspector, timeout=60).ok
    children = demo.children
    assert len(children) == 6  # the server, two clients with a training process each, the inspector
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 0
    assert not [child for child in children if child.is_running()]
    assert not folder.exists()
    assert "Traceback" not in demo.output


def test_a_child_that_dies_ends_the_demo_with_its_last_words(start: Callable[..., Demo], tmp_path: Path) -> None:
    demo = start("--clients", "2", "--rounds", "1", "--data-dir", str(tmp_path / "kept"))
    demo.wait_for("Ctrl-C stops everything")
    server = next(child for child in demo.children if "server" in child.cmdline()[3:4])
    server.kill()
    assert demo.process.wait(60) == 1
    assert "server ended with code -9" in demo.output
    assert (tmp_path / "kept" / "logs" / "server.log").exists()


def test_a_port_in_use_is_named_with_its_remedy(start: Callable[..., Demo]) -> None:
    with pytest.MonkeyPatch.context():
        import socket

        with socket.create_server(("127.0.0.1", 0)) as taken:
            demo = start("--port", str(taken.getsockname()[1]), "--clients", "2")
            assert demo.process.wait(60) == 1
    wait_for(lambda: "--port" in demo.output, "the remedy")
    assert "Traceback" not in demo.output
