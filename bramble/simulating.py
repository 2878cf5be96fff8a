"""``bramble simulate``: a whole fleet learns in simulated time, on this machine's processors."""

from __future__ import annotations

import json
from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bramble.settings import SimulateSettings
from bramble.simulation.results import Folder, round_row
from bramble.simulation.rounds import Played
from bramble.simulation.run import INTERRUPTED, Outcome, Run
from bramble_protocol import BrambleError
from bramble_protocol.graph import Metric
from bramble_protocol.printable import printable

PLAIN = "float32"
"""The codec that is not worth a word."""


def run(settings: SimulateSettings) -> int:
    """Run a simulation to its end, or until Ctrl-C; return the exit code.

    Raises
    ------
    BrambleError
        If it cannot begin, or cannot go on; what was played is written.
    """
    console = Console(highlight=False, stderr=settings.as_json)
    ready = Run(settings)
    folder = None if settings.out is None else Folder(settings.out, ready.about)
    console.print(_head(ready), soft_wrap=True)
    outcome = _shown(ready, console, folder)
    files = folder.write(outcome.played, {**outcome.summary, "machine": outcome.machine}) if folder else []
    if settings.as_json:
        rounds = [round_row(each) for each in outcome.played]
        print(json.dumps({"settings": ready.about, **outcome.summary, "rounds": rounds}, indent=1))
    elif outcome.played:
        console.print(_tail(outcome), soft_wrap=True)
    for file in files:
        console.print(str(file), soft_wrap=True)
    if outcome.stopped == INTERRUPTED:
        console.print("Stopped before its end.")
        return 130
    if outcome.stopped:
        raise BrambleError(outcome.stopped)
    return 0 if outcome.summary["committed"] == len(outcome.played) else 1


def _shown(ready: Run, console: Console, folder: Folder | None) -> Outcome:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("rounds", total=ready.settings.rounds)

        def told(played: Played) -> None:
            if folder:
                folder.add(played)
            progress.console.print(described(played, ready.metric), soft_wrap=True)
            progress.update(bar, advance=1)

        return ready.play(told)


def _head(ready: Run) -> str:
    settings, lengths = ready.settings, [stretch.stop - stretch.start for stretch in ready.stretches]
    least, most, at = min(lengths), max(lengths), len({stretch.place.name for stretch in ready.stretches})
    windows = f"{least if least == most else f'{least} to {most}'} windows each{', which overlap' if ready.overlap else ''}"
    seed = f"seed {settings.seed}, {settings.workers} worker{'s' * (settings.workers > 1)}{' of Ray' * (settings.backend == 'ray')}"
    how = ready.choice if ready.codec.name == PLAIN else f"{ready.choice}, {ready.codec}"
    if settings.clients_per_round is not None:
        how = f"{how}, {settings.clients_per_round} a round by {settings.selection}"
    return f"[bold]{settings.clients} clients[/] at {at} place{'s' * (at > 1)}, {windows}; {how}, {seed}"


def _tail(outcome: Outcome) -> str:
    summary, seconds = outcome.summary, max(outcome.seconds, 1e-3)
    return (
        f"\n{summary['committed']} rounds committed in {summary['simulated_s']:.0f} simulated seconds, {seconds:.1f} s here "
        f"({summary['trainings'] / seconds:.0f} trainings a second on {outcome.runtime}). Model [bold]{summary['digest']}[/]."
    )


def described(played: Played, metric: Metric) -> str:
    """Return one round in one line: who took part, simulated time, loss, and the error on what nobody trained on beside the baseline."""
    head = f"round {played.round:>3}  {played.delivered} of {played.asked} clients  {played.ended - played.opened:7.1f} s"
    if played.state != "committed":
        return f"{head}  [red]{played.state}[/]: {escape(printable(f'{played.reason}{_most_said(played)}'))}"
    change = 100 * (played.error / played.baseline - 1) if played.baseline else 0.0
    loss = f"loss {played.metrics['loss_before']:.3f} to {played.metrics['loss_after']:.3f}  " if "loss_before" in played.metrics else ""
    told = f"held out: {metric.name} {played.error:.3f} {metric.unit}, {metric.baseline.partition(':')[0]} {played.baseline:.3f}"
    return f"{head}  {loss}{told} [{'green' if change < 0 else 'yellow'}]({change:+.0f} %)[/]"


def _most_said(played: Played) -> str:
    """Return the reason that most clients gave, behind a round's own."""
    given = Counter(part["reason"] for part in played.parts.values() if part["reason"])
    return "".join(f" ({count} of {len(played.parts)}: {reason})" for reason, count in given.most_common(1))
