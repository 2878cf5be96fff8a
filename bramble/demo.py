"""``bramble demo``: a server, mock-sensor clients and the inspector on this machine, living through a year of recorded weather.

Or, with another task, through some hours in simulated rooms. Each round brings every client the next stretch of its recording; they
forecast it with the global model before anyone trains on it, train, and the server averages. Everything runs as its own process, by
the very commands a fleet uses.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NamedTuple, NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bramble.api import Server
from bramble.processes import Family
from bramble.round import described
from bramble.settings import DemoSettings
from bramble_client.hal.sim import rooms
from bramble_client.hal.sim.recordings import builtin
from bramble_protocol import BrambleError

HOURS = 8760
"""Readings in a recording: one an hour for a year."""
MINUTES, GATHERED = 30, 70
"""Readings of a room before each round, and before the first, in which there must be windows enough."""
ANSWER_S = 30.0
"""Seconds that the server may take to answer, on a machine that trains beside it."""


class Interrupted(BrambleError):
    """The demo was asked to stop."""


def run(settings: DemoSettings) -> int:
    """Run the demo until its last round, or until Ctrl-C; return the exit code."""
    console = Console(highlight=False)
    with _folder(settings.data_dir, console) as folder, _signals():
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
    server = Server(
        family.start(
            "server", "server", "--port", str(settings.port), "--data-dir", str(folder / "server"), "--min-clients", str(settings.clients),
            "--min-updates", str(settings.clients), "--task", settings.task, ready="bramble server ready on ",
        ),
        timeout=ANSWER_S,
    )  # fmt: skip
    for name, recording in _places(settings.clients) if settings.task == "climate" else _rooms(settings, folder):
        arguments = ["--server", server.url, "--id", name, "--sensors", "mock", "--data-dir", str(folder / name)]
        family.start(name, "client", *arguments, "--replay", str(recording))
    inspector = family.start(
        "inspector", "inspector", "--server", server.url, "--port", str(settings.inspector_port), ready="bramble inspector ready on "
    )
    console.print(f"Watch the fleet learn: [bold]{inspector}[/]   (server: {server.url}, logs: {folder / 'logs'})", soft_wrap=True)
    wait = partial(server.wait, meanwhile=family.check)
    metric = wait(lambda status: status["clients"] >= settings.clients, f"{settings.clients} clients to connect")["manifest"]["metric"]
    console.print(f"{settings.clients} clients. Baseline: {metric['baseline']}\n")
    committed = 0
    life = _Life(max(48, HOURS // settings.rounds), 0, "hours") if settings.task == "climate" else _Life(MINUTES, GATHERED, "minutes")
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("gathering readings", total=settings.rounds)
        for turn in range(settings.rounds):
            count = life.stretch if turn else max(life.stretch, life.first)
            progress.update(bar, description=f"the next {count} {life.unit}")
            server.generate(count)
            wait(lambda status: not status["cycle_waiting_for"], "every client's readings")
            progress.update(bar, description="a round of training")
            number = server.start()["round"]
            wait(lambda status: status["running"] is None, f"round {number}")
            record = server.round(number)
            committed += record["state"] == "committed"
            progress.console.print(described(record, metric), soft_wrap=True)
            progress.update(bar, advance=1, description="living through the year")
    console.print(f"\n{committed} of {settings.rounds} rounds committed.")
    return committed


class _Life(NamedTuple):
    """Readings before each round, more of them before the first, and what one of them is called."""

    stretch: int
    first: int
    unit: str


def _rooms(settings: DemoSettings, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield client names and recordings of simulated rooms, which are written into the folder."""
    (folder / "rooms").mkdir(parents=True, exist_ok=True)
    for number in range(1, settings.clients + 1):
        name = f"room-{number}"
        path = folder / "rooms" / f"{name}.csv"
        rooms.write(path, str(number), GATHERED + MINUTES * (settings.rounds + 1))
        yield name, path


def _places(count: int) -> Iterator[tuple[str, Path]]:
    """Yield client names and recordings; past the last recording, the same places again with another number."""
    places = sorted(builtin().items())
    for index in range(count):
        name, path = places[index % len(places)]
        turn = index // len(places)
        yield (name if turn == 0 else f"{name}-{turn + 1}"), path


@contextlib.contextmanager
def _folder(kept: Path | None, console: Console) -> Iterator[Path]:
    if kept is not None:
        if (kept / "server").exists():
            console.print(f"Going on with what an earlier demo left in {kept}; delete it to begin anew.", soft_wrap=True)
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
