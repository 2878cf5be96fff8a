"""``bramble simulate``: a whole fleet learns in simulated time, on this machine's processors."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bramble.settings import SimulateSettings
from bramble.simulation import places
from bramble.simulation.engine import Played, Simulation
from bramble.simulation.results import Folder, round_row
from bramble.simulation.scenario import Scenario
from bramble.simulation.scenario import read as read_scenario
from bramble.simulation.workers import Workers
from bramble_protocol import BrambleError
from bramble_protocol.graph import Metric
from bramble_server import foundation
from bramble_server.settings import Alone

SERVERS = ("strategy", "strategy_option", "deadline", "epochs", "batch_size", "learning_rate", "encoding", "reply_encoding", "min_updates")
"""Settings that mean what they mean to a server."""


def run(settings: SimulateSettings) -> int:
    """Run a simulation to its end, or until Ctrl-C; return the exit code."""
    console = Console(highlight=False, stderr=settings.as_json)
    given = {name: getattr(settings, name) for name in SERVERS}
    [built] = foundation.read(Alone(task=(settings.task,), horizon=settings.horizon, min_clients=settings.min_updates, **given))
    scenario = Scenario() if settings.scenario is None else read_scenario(settings.scenario)
    stretches, overlap = places.share(places.read(settings.data, built.graph.manifest), settings.clients, settings.windows)
    about = {
        "version": version("bramble-fl"),
        "task": built.task,
        "graph": built.graph.sha256,
        **{name: getattr(settings, name) for name in ("clients", "rounds", "seed", "windows", "data")},
        **given,
        "scenario": scenario.model_dump(),
    }
    folder = None if settings.out is None else Folder(settings.out, about)
    with _silent_clients(), closing(Workers(built.graph, settings.workers)) as workers:
        simulation = Simulation(built, stretches, scenario, settings.seed, workers)
        least, most = (pick(stretch.stop - stretch.start for stretch in stretches) for pick in (min, max))
        console.print(
            f"[bold]{settings.clients} clients[/] at {len({stretch.place.name for stretch in stretches})} places, "
            f"{least if least == most else f'{least} to {most}'} windows each{', which overlap' if overlap else ''}; "
            f"{simulation.choice}, seed {settings.seed}, {settings.workers} workers on {workers.name}",
            soft_wrap=True,
        )
        started = time.monotonic()
        played, whole = _played(simulation, settings.rounds, built.graph.manifest.metric, console)
        seconds = time.monotonic() - started
    summary = {
        "finished": whole,
        "committed": sum(each.state == "committed" for each in played),
        "simulated_s": played[-1].ended if played else 0.0,
        "trainings": sum(len(each.parts) - sum(part["samples"] is None for part in each.parts.values()) for each in played),
        "error": played[-1].error if played else None,
        "baseline": played[-1].baseline if played else None,
        "unit": built.graph.manifest.metric.unit,
        "digest": simulation.digest,
    }
    files = folder.write(played, {**summary, "machine": {"seconds": seconds, "runtime": workers.name}}) if folder else []
    if settings.as_json:
        print(json.dumps({"settings": about, **summary, "rounds": [round_row(each) for each in played]}, indent=1))
    else:
        _tell(console, summary, seconds, [str(file) for file in files])
    return 0 if whole and summary["committed"] == len(played) else 1 if whole else 130


@contextmanager
def _silent_clients() -> Iterator[None]:
    """Have clients log errors alone: a thousand have much to say, and it is in the results."""
    logger = logging.getLogger("bramble_client")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _played(simulation: Simulation, rounds: int, metric: Metric, console: Console) -> tuple[list[Played], bool]:
    """Play all rounds, with a line for each; return them, and whether nobody stopped it."""
    played: list[Played] = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("rounds", total=rounds)
        try:
            for each in simulation.play(rounds):
                played.append(each)
                progress.console.print(described(each, metric), soft_wrap=True)
                progress.update(bar, advance=1)
        except KeyboardInterrupt:
            progress.console.print("Stopped; what there is, is kept.")
            return played, False
    return played, True


def described(played: Played, metric: Metric) -> str:
    """Return one round in one line: who took part, simulated time, loss, and the error on what nobody trained on beside the baseline."""
    head = f"round {played.round:>3}  {played.delivered} of {played.asked} clients  {played.ended - played.opened:7.1f} s"
    if played.state != "committed":
        return f"{head}  [red]{played.state}[/]: {played.reason}{_most_said(played)}"
    change = 100 * (played.error / played.baseline - 1) if played.baseline else 0.0
    loss = f"loss {played.metrics['loss_before']:.3f} to {played.metrics['loss_after']:.3f}  " if "loss_before" in played.metrics else ""
    told = f"held out: {metric.name} {played.error:.3f} {metric.unit}, {metric.baseline.partition(':')[0]} {played.baseline:.3f}"
    return f"{head}  {loss}{told} [{'green' if change < 0 else 'yellow'}]({change:+.0f} %)[/]"


def _most_said(played: Played) -> str:
    """Return the reason that most clients gave, behind a round's own."""
    given = Counter(part["reason"] for part in played.parts.values() if part["reason"])
    return "".join(f" ({count} of {len(played.parts)}: {reason})" for reason, count in given.most_common(1))


def _tell(console: Console, summary: dict[str, Any], seconds: float, files: list[str]) -> None:
    if summary["error"] is not None:
        rate = summary["trainings"] / seconds if seconds else 0.0
        console.print(
            f"\n{summary['committed']} rounds committed in {summary['simulated_s']:.0f} simulated seconds, {seconds:.1f} s here "
            f"({rate:.0f} trainings a second). Model [bold]{summary['digest']}[/].",
            soft_wrap=True,
        )
    for file in files:
        console.print(file, soft_wrap=True, highlight=False)
    if not summary["finished"]:
        print("bramble: simulate: stopped before its end", file=sys.stderr)


__all__ = ["BrambleError", "run"]
