"""The top of the page: is the server there, what is the round doing, how good is the model."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import html

from bramble.api import JSON
from bramble_inspector import parts, sentences, series
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures.metric import Metric
from bramble_protocol.printable import printable

MOST_REMARKS = 4
"""Remarks on clients above everything else; the table has all of them."""
PLAIN = "float32"
"""The codec that is not worth a word."""


def alert(snapshot: Snapshot) -> Any:
    """Return what stands above everything else: why there is no news, or of that task, or which clients need somebody; mostly nothing."""
    if snapshot.down is None:
        if snapshot.stranger:
            return _stranger(snapshot.stranger, snapshot)
        return _remarks(snapshot) if snapshot.summary is None else None  # else the page Fleet says who needs somebody
    since = " What is shown below is the last that was known." if snapshot.status else ""
    text = f"{sentences.full_stop(snapshot.down)}{since} This page goes on by itself as soon as the server answers."
    return dmc.Alert(parts.rich(text), title="No news from the server", color="red", variant="light")


def _stranger(task: str, snapshot: Snapshot) -> Any:
    text = f"{printable(task)[:63]!r} is not served here; there is {', '.join(snapshot.tasks)}. What is shown below is {snapshot.task}."
    return dmc.Alert(text, title="There is no such task", color="yellow", variant="light")


def _remarks(snapshot: Snapshot) -> Any:
    said = [f"{client}: {remark}." for client in snapshot.order for remark in _pressing(snapshot.clients.get(client, {}), snapshot.task)]
    if not said:
        return None
    more = [f"And {len(said) - MOST_REMARKS} more, on the page Fleet."] if len(said) > MOST_REMARKS else []
    return dmc.Alert(
        [html.Div(line) for line in said[:MOST_REMARKS] + more], title="Some clients need you", color="yellow", variant="light"
    )


def _pressing(info: JSON, task: str | None) -> list[str]:
    """Return the remarks on a client but for why it takes no part in this task, where it takes part in another."""
    tasks = info.get("tasks", {})
    return [remark for remark in info.get("remarks", ()) if remark != tasks.get(task) or all(tasks.values())]


def badges(snapshot: Snapshot) -> list[Any]:
    """Return connection, mode, task and strategy in a word each, and a codec that saves bytes; a task that can be chosen is beside them."""
    if not snapshot.status:
        return [dmc.Badge("no server", color="red", variant="dot")]
    link = dmc.Badge("server down", color="red", variant="dot") if snapshot.down else dmc.Badge("live", color="teal", variant="dot")
    mode = dmc.Badge(f"{snapshot.status['mode']} mode", color="gray", variant="light")
    task = [] if snapshot.several else [dmc.Badge(f"task {snapshot.task}", color="gray", variant="light")]
    chosen = {kind: snapshot.status.get(kind) for kind in ("strategy", "codec")}
    how = [
        dmc.Badge(sentences.chosen(each), color="gray", variant="light", id=kind)
        for kind, each in chosen.items()
        if each and each["name"] != PLAIN
    ]
    return [link, mode, *task, *how]


def summary(snapshot: Snapshot) -> list[Any]:
    """Return the cards: round, fleet, error, data."""
    if not snapshot.status:
        return []
    return [_round(snapshot), _fleet(snapshot), error(snapshot), _data(snapshot)]


def _round(snapshot: Snapshot) -> Any:
    status = snapshot.status
    running, waiting = status["running"], status["waiting_for"]
    if not running:
        last = snapshot.ended[-1] if snapshot.ended else None
        text = "no round yet" if last is None else f"idle; round {last['round']} {_how(last)}"
        return parts.card("round", "Round", str(status["round"]), [parts.line(text, "round-line"), *_champion(status)])
    selected = max(snapshot.rounds.get(running, {}).get("selected", 0), len(waiting), 1)
    text = f"running: waiting for {sentences.several(waiting)}" if waiting else "running: averaging"
    bar = dmc.Progress(value=100 * (1 - len(waiting) / selected), size="sm", mt=6, animated=True)
    return parts.card("round", "Round", str(running), [parts.line(text, "round-line"), bar, *_champion(status)])


def _champion(status: dict[str, Any]) -> list[Any]:
    """Say which model is the best so far; a server of release 0.1 does not know."""
    champion = status.get("champion")
    if not champion:
        return []
    text = f"best: the model of round {champion['round']}{', pinned' * champion['pinned']}"
    if champion["worse"]:
        text += f"; the newest was worse in {sentences.plural(champion['worse'], 'round')}"
    return [parts.line(text, "champion-line")]


def _how(entry: dict[str, Any]) -> str:
    if entry["state"] == "abandoned":
        return f"was abandoned ({entry.get('reason') or 'no reason given'})"
    if entry.get("rollback_of"):
        reason = str(entry.get("reason") or "").partition(": ")[2]  # of a server that went back by itself
        return f"brought back the model of round {entry['rollback_of']}" + (f": {reason}" if reason else "")
    out = [client for client, part in entry.get("clients", {}).items() if part.get("replied") and part.get("reason")]
    without = f" without {sentences.several(out)}" if out else ""
    return f"averaged {sentences.plural(entry['updates'], 'update')} in {entry['ended'] - entry['started']:.1f} s{without}"


def _counts(snapshot: Snapshot) -> tuple[int, int, int]:
    """Return how many clients are away, connected and simulated, and never seen."""
    if snapshot.many and snapshot.summary is not None:
        never = snapshot.summary["kinds"].get("never_seen", 0)
        return snapshot.summary["total"] - never - snapshot.status["clients"], snapshot.summary["simulated"], never
    connected = [info for info in snapshot.clients.values() if info["connected"]]
    simulated = sum(info["simulated"] for info in connected)
    return len(snapshot.order) - snapshot.status["clients"], simulated, len(snapshot.never_seen)


def _fleet(snapshot: Snapshot) -> Any:
    status = snapshot.status
    away, simulated, never = _counts(snapshot)
    said = [f"{status['min_clients']} needed for a round"]
    if away > 0:
        said.append(f"{away} away")
    if never:
        said.append(f"{never} never seen")
    unfit = status["clients"] - status.get("able", status["clients"])
    if unfit:
        said.append(f"{unfit} cannot train this task")
    if simulated:
        said.append("all simulated" if simulated == status["clients"] else f"{simulated} simulated")
    return parts.card("clients", "Clients connected", str(status["clients"]), [parts.line(" · ".join(said), "clients-line")])


def error(snapshot: Snapshot) -> Any:
    """Return the card of the global model's error."""
    metric = Metric(snapshot.manifest)
    tested = [entry for entry in snapshot.committed if entry["metrics"].get("test_error") is not None]
    title = f"Global test error ({metric.name})"
    if not tested:
        return parts.card("error", title, "–", [parts.line("on readings not yet trained on", "error-line")])
    measures = tested[-1]["metrics"]
    gain = metric.gain(measures)
    line = parts.line(f"{metric.compared(measures)}, round {tested[-1]['round']}", "error-line")
    line.className += " good" if gain is not None and gain > 0 else " bad"
    return parts.card("error", title, metric.text(measures["test_error"]), [line])


def _data(snapshot: Snapshot) -> Any:
    if snapshot.private:
        return parts.card("data", "Readings", "private", [parts.line("they never leave the clients; only weights do", "data-line")])
    status, newest = snapshot.status, series.newest(snapshot.readings)
    waiting = status.get("cycle_waiting_for") or []
    if waiting:
        text = f"cycle {status['cycle']}: waiting for {sentences.several(waiting)}"
    elif newest is None:
        text = "press Generate to take the first"
    else:
        text = f"until {sentences.moment(newest)}"
    return parts.card("data", "Data cycles", str(status["cycle"]), [parts.line(text, "data-line")])
