"""``bramble round``: start a round of federated averaging and see what came of it, and list the rounds that were."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from bramble import terminal
from bramble.api import JSON, Server
from bramble.settings import ListRoundsSettings, ShowRoundSettings, StartRoundSettings, StopRoundsSettings
from bramble_protocol.printable import printable
from bramble_protocol.privacy import RELATIVE

TOLD = (
    ("accuracy", "accuracy", ".1%"), ("macro_f1", "macro F1", ".2f"), ("alarm_rate", "alarms", ".2%"), ("precision", "precision", ".1%"),
    ("recall", "recall", ".1%"), ("threshold", "threshold", ".3g"),
)  # fmt: skip
"""Measures of tasks that do not forecast: their names, what they are called, and how they are written."""


def start(settings: StartRoundSettings) -> int:
    """Start a round, after a data cycle if one is asked for; return 1 if it was waited for and abandoned, else 0.

    Raises
    ------
    ServerError
        If the server refuses, does not answer, or what is waited for does not come in time.
    """
    server = Server.of(settings)
    said = Console(stderr=True, highlight=False)
    aside = sys.stderr if settings.as_json else sys.stdout
    with said.status("") as doing:
        if settings.wait:
            doing.update(f"waiting for the server at {server.url} and enough clients")
            server.wait(
                lambda status: status["clients"] >= status["min_clients"],
                "enough clients",
                settings.within,
                unanswered=True,
                task=settings.task,
            )
        if settings.generate is not None:
            doing.update(f"every client takes {settings.generate} readings")
            cycle = server.generate(settings.generate)
            server.wait(lambda status: not status["cycle_waiting_for"], "every client's readings", settings.within)
            print(f"cycle {cycle['cycle']}: {cycle['clients']} clients took {settings.generate} readings each", file=aside, flush=True)
        opened = server.start(settings.task, settings.within if settings.wait else 0.0)
        if not settings.wait:
            terminal.tell(settings.as_json, opened, f"round {opened['round']}: asked {', '.join(opened['clients'])}")
            return 0
        print(f"round {opened['round']}: asked {', '.join(opened['clients'])}", file=aside, flush=True)
        doing.update(f"round {opened['round']}: the clients train")
        server.wait(
            lambda status: status["running"] != opened["round"], f"the end of round {opened['round']}", settings.within, task=settings.task
        )
    record = server.round(opened["round"])
    if settings.as_json:
        print(json.dumps(record, indent=2))
    else:
        terminal.console().print(described(record, server.status(settings.task)["manifest"]["metric"]), soft_wrap=True)
    return 0 if record["state"] == "committed" else 1


def stop(settings: StopRoundsSettings) -> int:
    """End asynchronous rounds; return 0."""
    ended = Server.of(settings).stop(settings.task)["round"]
    print("no round was open" if ended is None else f"round {ended} has ended, and none follows")
    return 0


def listed(settings: ListRoundsSettings) -> int:
    """Print the newest rounds; return 0."""
    server = Server.of(settings)
    rounds = server.rounds(0, settings.limit, settings.task)
    if settings.as_json:
        print(json.dumps(rounds, indent=2))
        return 0
    if not rounds:
        print("no round yet; start one with: bramble round start --wait")
        return 0
    metric = server.status(settings.task)["manifest"]["metric"]
    for record in rounds:
        by = "  ".join(record[what]["name"] for what in ("strategy", "codec") if record.get(what))
        asynchronous = "  asynchronous" if (record.get("discipline") or {}).get("name") == "asynchronous" else ""
        terminal.console().print(f"{described(record, metric)}  {escape(printable(by + asynchronous))}".rstrip(), soft_wrap=True)
    return 0


def shown(settings: ShowRoundSettings) -> int:
    """Print one round: what it went by, and each client's part; return 0."""
    server = Server.of(settings)
    record = server.round(settings.number)
    if settings.as_json:
        print(json.dumps(record, indent=2))
        return 0
    said = terminal.console()
    metric = server.status(record.get("task"))["manifest"]["metric"]
    said.print(described(record, metric), soft_wrap=True)
    for line in went_by(record):
        said.print(f"  {escape(line)}", soft_wrap=True)
    columns = ["client", "seconds", "bytes", "windows", "loss", "error", "baseline", "asked in", "why not"]
    said.print(terminal.table(columns, [[name, *_part(part)] for name, part in record["clients"].items()]))
    return 0


def went_by(record: JSON) -> list[str]:
    """Return what a round went by, a line each: what is not known, or was not set, is left out."""
    lines = []
    for what in ("strategy", "codec", "discipline", "selection"):
        found = record.get(what)
        if found:
            given = ", ".join(f"{name}={value}" for name, value in found.get("parameters", {}).items() if value is not None)
            enough = f", over with {found['enough']} updates" if found.get("enough") else ""
            lines.append(printable(f"{what} {found['name']}" + (f" ({given})" if given else "") + enough, None))
    if record.get("seed") is not None:
        lines.append(f"seed {record['seed']}, deadline {record['deadline']:g} s" if record.get("deadline") else f"seed {record['seed']}")
    if record.get("selected"):
        lines.append(f"cohort of {record['selected']} clients, {record['updates']} updates counted")
    return lines


def measures(found: Mapping[str, float]) -> str:
    """Return what measures say of a model that does not forecast, with two blanks before each; nothing of one that does."""
    return "".join(f"  {words} {found[name]:{form}}" for name, words, form in TOLD if name in found)


def _part(part: JSON) -> list[str]:
    began, ended = part.get("train_start"), part.get("train_end")
    tested = part.get("test") or {}
    return [
        f"{ended - began:.1f}" if began is not None and ended is not None else "",
        str(part.get("bytes") or ""),
        str(part.get("samples") or ""),
        f"{part['loss_before']:.3g} to {part['loss_after']:.3g}" if part.get("loss_before") is not None else "",
        "" if tested.get("error") is None else f"{tested['error']:.3g} {tested['unit']}",
        "" if tested.get("baseline") is None else f"{tested['baseline']:.3g} {tested['unit']}",
        str(part.get("asked") or ""),
        part.get("reason") or "",
    ]


def described(record: dict[str, Any], metric: dict[str, str]) -> str:
    """One round in one line: who took part, how long, loss before and after, and the test-then-train error beside the baseline."""
    head = f"round {record['round']:>3}"
    if record["state"] == "running":
        return f"{head}  [yellow]running[/]: {record['updates']} of {record['selected']} clients have answered"
    if record["state"] != "committed":
        return f"{head}  [red]{record['state']}[/]: {escape(str(record['reason']))}"
    if record.get("rollback_of"):
        return f"{head}  [yellow]{escape(printable(str(record['reason'])))}[/]"
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
    if RELATIVE in means:
        text += f"  error {means[RELATIVE]:.2f} of {metric['baseline'].partition(':')[0]}'s, with noise"
    text += measures(means)
    if record.get("reason"):
        text += f"  [yellow]{escape(printable(str(record['reason'])))}[/]"
    return text
