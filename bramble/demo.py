"""``bramble demo``: a server, mock-sensor clients and the inspector on this machine, living through a year of recorded weather.

Each round brings every client the next stretch of its recording; they forecast it with the global model before anyone
trains on it, train, and the server averages. Everything runs as its own process, by the very commands a fleet uses.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bramble.processes import Family
from bramble.settings import DemoSettings
from edge_client.hal.sim.recordings import builtin
from protocol import BrambleError

HOURS = 8760
"""Readings in a recording: one an hour for a year."""


class Interrupted(BrambleError):
    """The demo was asked to stop."""


def run(settings: DemoSettings) -> int:
    """Run the demo until its last round, or until Ctrl-C; return the exit code."""
    console = Console(highlight=False)
    with _folder(settings.data_dir) as folder, _signals():
        family = Family(folder / "logs")
        try:
            committed = _live_through_the_year(settings, family, folder, console)
            if settings.exit:
                return 0 if committed == settings.rounds else 1
            console.print("The fleet stays up: start more rounds in the inspector. Ctrl-C stops everything.")
            while True:
                family.check()
                time.sleep(0.5)
        except Interrupted:
            console.print("Stopping.")
            return 0 if not settings.exit else 130
        finally:
            with contextlib.suppress(Interrupted):
                family.stop()


def _live_through_the_year(settings: DemoSettings, family: Family, folder: Path, console: Console) -> int:
    console.print("[bold]Bramble demo[/]: starting the server, the clients and the inspector ...")
    server = _Server(
        family.start(
            "server", "server", "--port", str(settings.port), "--data-dir", str(folder / "server"), "--min-clients", str(settings.clients),
            "--min-updates", str(settings.clients), ready="bramble server ready on ",
        ),
        family,
    )  # fmt: skip
    for name, recording in _places(settings.clients):
        arguments = ["--server", server.url, "--id", name, "--sensors", "mock", "--data-dir", str(folder / name)]
        family.start(name, "client", *arguments, "--replay", str(recording))
    inspector = family.start(
        "inspector", "inspector", "--server", server.url, "--port", str(settings.inspector_port), ready="bramble inspector ready on "
    )
    console.print(f"Watch the fleet learn: [bold]{inspector}[/]   (server: {server.url}, logs: {folder / 'logs'})", soft_wrap=True)
    server.wait(lambda status: status["clients"] >= settings.clients, f"{settings.clients} clients to connect")

    metric = server.get("/status")["manifest"]["metric"]
    console.print(f"{settings.clients} clients. Baseline: {metric['baseline']}\n")
    committed = 0
    stretch = max(48, HOURS // settings.rounds)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("living through the year", total=settings.rounds)
        for _ in range(settings.rounds):
            progress.update(bar, description=f"the next {stretch} hours")
            server.get(f"/generate?count={stretch}", start=True)
            server.wait(lambda status: not status["cycle_waiting_for"], "every client's readings")
            progress.update(bar, description="a round of training")
            number = server.get("/", start=True)["round"]
            server.wait(lambda status: status["running"] is None, f"round {number}")
            record = server.get(f"/rounds/{number}")
            committed += record["state"] == "committed"
            progress.console.print(_line(record, metric), soft_wrap=True)
            progress.update(bar, advance=1, description="living through the year")
    console.print(f"\n{committed} of {settings.rounds} rounds committed.")
    return committed


def _places(count: int) -> Iterator[tuple[str, Path]]:
    """Yield client names and recordings; past the last recording, the same places again with another number."""
    places = sorted(builtin().items())
    for index in range(count):
        name, path = places[index % len(places)]
        turn = index // len(places)
        yield (name if turn == 0 else f"{name}-{turn + 1}"), path


def _line(record: dict[str, Any], metric: dict[str, str]) -> str:
    """One round in one line: who took part, how long, loss before and after, and the test-then-train error beside the baseline."""
    head = f"round {record['round']:>3}"
    if record["state"] != "committed":
        return f"{head}  [red]{record['state']}[/]: {record['reason']}"
    means, seconds = record["metrics"], record["ended"] - record["started"]
    text = f"{head}  {record['updates']} clients  {seconds:5.1f} s"
    if "loss_before" in means:
        text += f"  loss {means['loss_before']:.3f} to {means['loss_after']:.3f}"
    if means.get("test_samples"):
        shown = math.sqrt if metric["transform"] == "sqrt" else float
        error, baseline = shown(means["test_error"]), shown(means["test_baseline"])
        change = 100 * (error / baseline - 1) if baseline else 0.0
        colour = "green" if change < 0 else "yellow"
        name, unit = metric["baseline"].partition(":")[0], metric["unit"]
        text += f"  {metric['name']} {error:.2f} {unit}, {name} {baseline:.2f} {unit} [{colour}]({change:+.0f} %)[/]"
    return text


class _Server:
    """The server as the demo sees it: over HTTP."""

    def __init__(self, url: str, family: Family) -> None:
        self.url = url
        self._family = family
        self._session = requests.Session()

    def get(self, path: str, start: bool = False) -> dict[str, Any]:
        self._family.check()
        try:
            response = self._session.request("POST" if start else "GET", self.url + path, timeout=30)
            answer: dict[str, Any] = response.json()
        except requests.RequestException as error:
            self._family.check()
            raise BrambleError(f"the server did not answer {path}: {error}") from error
        if not response.ok:
            raise BrambleError(f"the server refused {path}: {answer.get('error', response.status_code)}")
        return answer

    def wait(self, condition: Callable[[dict[str, Any]], bool], what: str, within: float = 300.0) -> None:
        until = time.monotonic() + within
        while not condition(self.get("/status")):
            if time.monotonic() > until:
                raise BrambleError(f"waited {within:.0f} s for {what} in vain; the logs of the clients may say why")
            time.sleep(0.1)


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    folder = Path(tempfile.mkdtemp(prefix="bramble-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    def stop(signum: int, frame: FrameType | None) -> NoReturn:
        raise Interrupted(signal.Signals(signum).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
