"""``bramble fleet status``: every client in one line, from the server's HTTP endpoints."""

from __future__ import annotations

import json
import time
from typing import Any

from rich.console import Console
from rich.markup import escape

from bramble import terminal
from bramble.api import Server
from bramble.exit_codes import ExitCode
from bramble.round import measures
from bramble.settings import FleetSettings, ForgetSettings
from bramble_protocol import VERSION
from bramble_protocol.health import DISK, SPARING, throttling
from bramble_protocol.printable import printable

ROUNDS = 50
"""How many of the newest rounds are searched for a client's last one."""
PATIENCE = 3
"""Sampling intervals after which a client's newest sample is no longer fresh."""
REFUSED = 10
"""How many of those who knocked without a token are named."""
SICK = ExitCode.FAILED
"""Exit code where a client needs looking after."""


def run(settings: FleetSettings) -> int:
    """Print the fleet's status; return 0 if everybody is well, ``SICK`` if not. With ``--json`` the reader is the judge, and it is 0."""
    status = read(settings)
    if settings.as_json:
        print(json.dumps(status, indent=2))
        return 0
    unwell = {name: client for name, client in status["clients"].items() if sick(client)}
    show({**status, "clients": unwell} if settings.sick else status, terminal.console())
    return SICK if status["never_seen"] or unwell else 0


def forget(settings: ForgetSettings) -> int:
    """Take a client off the server's list; return 0."""
    answer = Server.of(settings).forget(settings.client)
    terminal.tell(settings.as_json, answer, f"{settings.client} is off the list")
    return 0


def read(settings: FleetSettings) -> dict[str, Any]:
    """Ask the server.

    Returns
    -------
    dict
        ``server``: version, mode, round, running, ``in_use`` (of each task, how many clients go by which model),
        ``measures`` (of each, what its last round says of a model that does not forecast), ``unseen`` (of each, classes that nobody has);
        ``clients``: id to what the server knows of it, with ``last_round`` (a committed
        round that it took part in) and ``fresh`` (whether its newest sample is as new as its own interval promises); ``never_seen``:
        ids that may connect and never did; ``refused``: id to address and time of who knocked of late without the right token.

    Raises
    ------
    ServerError
        If it cannot be asked, or refuses.
    """
    server = Server.of(settings)
    status, registry = server.status(), server.registry()
    clients = registry["clients"]
    last = max(status["round"], status["running"] or 0)
    rounds = server.rounds(max(0, last - ROUNDS), ROUNDS) if last else []
    took_part: dict[str, int] = {}
    for record in rounds:
        if record["state"] == "committed":
            took_part.update({name: record["round"] for name, part in record["clients"].items() if part["samples"]})
    now = time.time()
    for name, client in clients.items():
        client["last_round"] = took_part.get(name)
        client["fresh"] = fresh(client, now)
    about = {name: status[name] for name in ("version", "mode", "task", "round", "running")}
    for what in ("in_use", "measures", "unseen"):
        about[what] = {each["task"]: each.get(what, {}) for each in status.get("tasks", [])}
    return {"server": about, "clients": clients, "never_seen": registry.get("never_seen", []), "refused": registry.get("refused", {})}


def sick(client: dict[str, Any]) -> bool:
    """Whether somebody should look after a client: the server says so, and of a server that does not tell it is found out here."""
    if (told := client.get("wrong")) is not None:
        return bool(told)
    health = client.get("health") or {}
    wrong = health.get("sensors_gone") or health.get("sensors_doubted") or client.get("remarks")
    return not client["fresh"] or bool(wrong) or health.get("disk") not in (None, "ok")


def fresh(client: dict[str, Any], now: float) -> bool:
    """Whether a client measures: its newest sample is at most three of its intervals old. Without a clock of its own it owes none."""
    health = client.get("health")
    if not client["connected"] or health is None:
        return False
    if health["sample_every"] is None:
        return True
    age = health["sample_age"]
    late = SPARING if health.get("not_now") == "bytes" else 10  # seconds that a report may be old
    return age is not None and bool(age + now - client["health_at"] <= PATIENCE * health["sample_every"] + late)


def show(status: dict[str, Any], console: Console) -> None:
    """Print a table."""
    server = status["server"]
    running = f", round {server['running']} runs" if server["running"] else ""
    console.print(
        f"Server {server['version']}, {server['mode']} mode, task {server['task']}, last committed round {server['round']}{running}"
    )
    columns = (
        "client",
        "",
        "version",
        "contract",
        "sample",
        "sensors",
        "round",
        "goes by",
        "SoC °C",
        "throttled",
        "RAM MB",
        "disk GB",
        "clock s",
    )
    rows: list[tuple[str, ...]] = []
    for name, client in sorted(status["clients"].items()):
        health = client.get("health") or {}
        row = (
            name,
            "[green]there[/]" if client["connected"] else f"[red]gone {span(time.time() - client['since'])}[/]",
            escape(client["version"]),
            _contract(client),
            _sample(client, health),
            _sensors(health),
            _text(client["last_round"]),
            (health.get("in_use") or {}).get(server["task"], ""),
            _text(health.get("soc_temperature"), "{:.0f}"),
            _throttled(health),
            _text(health.get("memory_free"), "{:.0f}"),
            _disk(health),
            _text(health.get("clock_offset"), "{:+.1f}"),
        )
        rows.append(row)
    rows += [(name, "[red]never seen[/]", *[""] * (len(columns) - 2)) for name in status["never_seen"]]
    console.print(terminal.table(columns, rows))
    for task, found in server["measures"].items():
        if found:
            console.print(f"{escape(task)}:{measures(found)}", soft_wrap=True)
    for task, classes in server["unseen"].items():
        if classes:
            console.print(f"{escape(task)}: nobody has labelled anything {escape(', '.join(classes))}, so it is not learnt", soft_wrap=True)
    for task, counts in server["in_use"].items():
        if counts:
            shares = ", ".join(f"{count} by {model}" for model, count in sorted(counts.items(), key=lambda item: -item[1]))
            console.print(f"{escape(task)}: of those that forecast it, {shares}", soft_wrap=True)
    for name, client in sorted(status["clients"].items()):
        for complaint in client.get("wrong", ()):
            console.print(f"[red]{name}[/] {escape(printable(complaint['text']))}{_since(complaint['since'])}", soft_wrap=True)
        for remark in client.get("remarks", ()):
            console.print(f"[red]{name}[/]: {escape(printable(remark))}", soft_wrap=True)
    for name, knock in sorted(status.get("refused", {}).items(), key=lambda item: -item[1]["at"])[:REFUSED]:
        who, ago = f"{escape(printable(name))} knocked from {escape(printable(knock['address']))}", span(time.time() - knock["at"])
        console.print(
            f"{who}, {ago} ago, without a token that is known: it was taken out of the fleet or its token is old; "
            "deploy to it again, or take Bramble off it (uninstall.yml)",
            soft_wrap=True,
        )


def _since(at: float | None) -> str:
    return "" if at is None else f", for {span(time.time() - at)}"


def _contract(client: dict[str, Any]) -> str:
    """Return which version of the contract a client speaks, if it is not this one: it is to be upgraded, or whoever asks is."""
    spoken = client.get("protocol", VERSION)
    return "" if spoken == VERSION else f"version {spoken}"


def _sample(client: dict[str, Any], health: dict[str, Any]) -> str:
    age = health.get("sample_age")
    if age is None:
        return "none" if health else ""
    text = f"{span(age + time.time() - client['health_at'])} ago"
    return text if client["fresh"] else f"[red]{text}[/]"


def _sensors(health: dict[str, Any]) -> str:
    """Return what is wrong with a client's sensors; nothing if all is well."""
    wrong = [f"[red]{escape(name)} is gone[/]" for name in health.get("sensors_gone", ())]
    wrong += [f"[red]{escape(name)} is doubtful[/]" for name in health.get("sensors_doubted", ())]
    if health.get("windows_doubtful"):
        wrong.append(f"{health['windows_doubtful']:,} windows doubtful")
    if health.get("alarms"):
        wrong.append(f"{health['alarms']:,} alarms")
    if (at := health.get("first_training") or 0.0) > time.time():
        wrong.append(f"first training in {span(at - time.time())}")
    if health.get("samples_missed"):
        wrong.append(f"{health['samples_missed']:,} missed")
    return ", ".join(wrong)


def _disk(health: dict[str, Any]) -> str:
    """Return how much room there is, or why the disk takes nothing."""
    wrong = DISK.get(health.get("disk") or "ok")
    return f"[red]{wrong}[/]" if wrong else _text(None if health.get("disk_free") is None else health["disk_free"] / 1024, "{:.1f}")


def _throttled(health: dict[str, Any]) -> str:
    """Return what the firmware says; a machine that cannot tell is not one that is well."""
    if not health:
        return ""
    return "not known" if health.get("throttled") is None else throttling(health["throttled"])


def _text(value: Any, form: str = "{}") -> str:
    return "" if value is None else form.format(value)


def span(seconds: float) -> str:
    """Return a duration as a person says it: ``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
