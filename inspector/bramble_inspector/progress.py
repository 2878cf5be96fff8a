"""Rounds in words and rows: the one that runs, those that were, and what each client did in one of them."""

from __future__ import annotations

import itertools
from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]

from bramble.api import JSON, ServerError
from bramble_inspector import parts, sentences
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import anatomy
from bramble_inspector.figures.metric import Metric
from bramble_inspector.tables import number as short
from bramble_inspector.tables import table
from bramble_protocol.printable import printable

SHOWN = 100
"""Rounds in the history, and clients of one round in its table."""


def found(snapshot: Snapshot, number: str | None) -> JSON | None:
    """Return the round that an address names: with each client's part, however old it is, if the server knows it."""
    if not number or not number.isascii() or not number.isdigit() or len(number) > 15:
        return None
    entry = snapshot.rounds.get(int(number))
    if entry is not None and "clients" in entry:
        return entry
    try:
        return snapshot.round(int(number)) or entry
    except ServerError:  # the bar says it
        return entry


def said(snapshot: Snapshot, number: str) -> Any:
    """Return what a round was, in a sentence, or that there is none."""
    entry = found(snapshot, number)
    if entry is None:
        known = f"the newest is {max(snapshot.rounds)}" if snapshot.rounds else "there is none yet"
        text = f"There is no round {printable(number)[:20]} of {snapshot.task or 'this task'}: {known}."
        return dmc.Alert(parts.rich(text), title="No such round", color="yellow", variant="light")
    how = [sentences.chosen(entry[kind]) for kind in ("discipline", "strategy", "codec", "selection") if entry.get(kind)]
    text = f"Round {entry['round']} {_state(entry)}. " + (f"It went by {'; '.join(how)}." if how else "")
    return dmc.Alert(text, title=f"Round {entry['round']}", color="gray", variant="light")


def cards(snapshot: Snapshot, now: float) -> list[Any]:
    """Return how far the running round is: who is awaited, and for how long; or what came of the last."""
    status = snapshot.status
    if not status:
        return [parts.empty("Nothing is known of the fleet yet: the server has not answered.")]
    running = status["running"]
    if not running:
        last = snapshot.ended[-1] if snapshot.ended else None
        if last is None:
            return [parts.empty(sentences.no_rounds(snapshot))]
        lines = [parts.line(f"round {last['round']} {_state(last)}", "progress-line")]
        return [parts.card("progress", "Now", "no round runs", lines)]
    entry, waiting = snapshot.rounds.get(running, {}), status["waiting_for"]
    asked = max(entry.get("selected") or 0, len(waiting), 1)
    elapsed = max(0.0, now - entry["started"]) if entry.get("started") else 0.0
    left = f", {max(0.0, entry['deadline'] - elapsed):.0f} s until it ends anyway" if entry.get("deadline") else ""
    bar = dmc.Progress(value=100 * (1 - len(waiting) / asked), size="sm", mt=6, **parts.aria(label="Answers that have come"))
    return [
        parts.card("progress", f"Round {running} runs", f"{asked - len(waiting)} of {asked} answered", [bar]),
        parts.card(
            "awaited", "Awaited", str(len(waiting)), [parts.line(sentences.several(waiting, 6) or "nobody: it is averaged", "awaited-line")]
        ),
        parts.card("elapsed", "For", f"{elapsed:.0f} s", [parts.line(f"since it began{left}", "elapsed-line")]),
    ]  # fmt: skip


def history(snapshot: Snapshot) -> Any:
    """Return the newest rounds as a table."""
    entries = list(snapshot.rounds.values())[: -SHOWN - 1 : -1]
    if not entries:
        return parts.empty(sentences.no_rounds(snapshot))
    metric = Metric(snapshot.manifest)
    titles = ["Round", "What came of it", "Took (s)", "Asked", "Answered", "Left out", "Staleness", "Discipline", "Strategy", "Codec"]
    return table("rounds", [*titles, metric.title, "Baseline"], [_row(entry, snapshot, metric) for entry in entries])


def _row(entry: JSON, snapshot: Snapshot, metric: Metric) -> list[Any]:
    took = None if entry["ended"] is None else entry["ended"] - entry["started"]
    measures = entry.get("metrics", {})
    known = entry.get("clients", {})
    late = [entry["round"] - part["asked"] for part in known.values() if part.get("asked")]
    dropped = {name: part["reason"] for name, part in known.items() if part.get("reason")}
    how = [sentences.chosen(entry[kind]) if entry.get(kind) else "–" for kind in ("discipline", "strategy", "codec")]
    return [
        parts.link(str(entry["round"]), f"/rounds/{entry['round']}", snapshot.task if snapshot.several else None),
        _state(entry),
        short(took),
        entry.get("selected", "–"),
        entry.get("updates", "–"),
        "; ".join(f"{name}: {reason}" for name, reason in list(dropped.items())[:3])
        + (f"; {len(dropped) - 3} more" if len(dropped) > 3 else ""),
        f"{sum(late) / len(known):.2g}, at most {max(late)}" if late else "0" if known else "–",
        *how,
        short(metric.value(measures.get("test_error"))),
        short(metric.value(measures.get("test_baseline"))),
    ]


def _state(entry: JSON) -> str:
    if entry["state"] == "running":
        return "runs"
    if entry["state"] == "abandoned":
        return f"was abandoned ({entry.get('reason') or 'no reason given'})"
    if entry.get("rollback_of"):
        return f"brought back the model of round {entry['rollback_of']}"
    return f"averaged {sentences.plural(entry['updates'], 'update')}"


def clients(snapshot: Snapshot, number: str) -> Any:
    """Return what each client did in a round, the slowest first."""
    entry = found(snapshot, number)
    if entry is None or not entry.get("clients"):
        return None
    names, metric = anatomy.slowest(entry), Metric(snapshot.manifest)
    rows = []
    for name in names:
        part = entry["clients"][name]
        at = anatomy.edges(part)
        spans = [short(after - before) for before, after in itertools.pairwise(at)] if at else ["–"] * 4
        where = parts.link(name, f"/client/{name}", snapshot.task if snapshot.several else None)
        rows.append(
            [
                where, *spans, part.get("samples") or "–", part.get("bytes") or "–", short(part.get("loss_before")),
                short(part.get("loss_after")), short(metric.value(part.get("test_error"))), short(metric.value(part.get("test_baseline"))),
                entry["round"] - part["asked"] if part.get("asked") else 0, part.get("reason") or "",
            ]
        )  # fmt: skip
    titles = ["Client", "Sent (s)", "Waited (s)", "Trained (s)", "Returned (s)", "Samples", "Bytes", "Loss before", "Loss after"]
    return table(f"round-{entry['round']}", [*titles, metric.title, "Baseline", "Staleness", "Left out because"], rows)
