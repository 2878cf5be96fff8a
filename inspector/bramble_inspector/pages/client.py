"""Client: one Pi. What is wrong with it, its machine, sensors, budgets and labels, what it forecasts, its rounds, its log, what left it."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any
from urllib.parse import unquote

from dash import Output, dcc, html

from bramble.api import JSON, ServerError
from bramble_inspector import attention, parts, sentences, words
from bramble_inspector.apart import Apart
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import forecast, learning, machine, streams
from bramble_inspector.figures.metric import Metric
from bramble_inspector.live import Answer, Page
from bramble_inspector.panels import Panel
from bramble_inspector.tables import table
from bramble_protocol.health import DISK, resting, throttling

ROUNDS = 15
"""Rounds that are listed, the newest."""


_EVENTS = {
    "training_complete": "updates of the model", "training_failed": "word that it does not train", "evaluated": "errors of tried models",
    "data_update": "readings (evaluation mode)", "health": "reports on its machine",
}  # fmt: skip
"""What comes from a client, in words."""
_UNTOLD = "The server is of a release that keeps no past of its clients."


def page(apart: Apart) -> Page:
    """Return the page, of what the server says of one client alone."""

    def refresh(answer: Answer, snapshot: Snapshot, picks: JSON) -> None:
        name = picks["client"] or ""
        info = snapshot.clients.get(name)
        try:
            if name and snapshot.down is None:
                info = snapshot.one(name)
            if info is not None:
                snapshot = apart.look(snapshot, name)
        except ServerError:  # the bar says it
            pass
        measure = picks["measure"]
        if measure is None:  # what is wrong with it first, once that is known
            measure = machine.first(snapshot.past, [complaint["kind"] for complaint in (info or {}).get("wrong") or ()])
            if snapshot.past is not None:
                answer.put("measure", name, lambda: measure)
        _put(answer, snapshot, {**picks, "measure": measure}, name, info)

    outputs = {part: Output(f"client-{part}", "children") for part in ("wrong", "about", "sensors", "rounds", "log", "came")}
    outputs["measure"] = Output("client-measure", "value")
    picks = {"client": "client-at", "measure": "client-measure"}
    return Page("client", "Client", "/client", layout, refresh, outputs, picks, PANELS, template="/client/<name>", listed=False)


def layout(name: str = "", measure: str | None = None, **_: str) -> list[Any]:
    """Return the page."""
    measures = [{"value": key, "label": short} for key, (short, _, _) in machine.MEASURES.items()]
    picked = parts.pick("client-measure", measures, measure if measure in machine.MEASURES else None, "What of the machine is drawn")
    return [
        dcc.Store(id="client-at", data=unquote(name)),
        html.H2(unquote(name), className="page-title"),
        html.Div(id="client-wrong", role="status"),
        html.Div(id="client-about", className="cards"),
        html.Div(
            [
                parts.plot("client-machine", "Machine over time", "the worst of each stretch, of up to ten days", [picked]),
                parts.panel("Log", "the newest first", html.Div(id="client-log"), name="client-log"),
                parts.plot("client-readings", "Readings", "of what the task forecasts, the lowest and highest of each stretch"),
                parts.plot("client-forecast", "Forecast against measurement", "newest readings; dotted: the model's forecast"),
                parts.panel("Sensors and channels", "what it offers", html.Div(id="client-sensors"), name="client-sensors"),
                parts.plot("client-error", "Test error", "on readings it had not trained on yet; dashed: baseline"),
                parts.panel("Its part in the newest rounds", "", html.Div(id="client-rounds"), name="client-rounds"),
                parts.panel("What left it", "", html.Div(id="client-came"), name="client-came"),
            ],
            className="grid",
        ),
        words.explain("loss", "baseline", "test error", "epsilon"),
    ]


def _put(answer: Answer, snapshot: Snapshot, picks: JSON, name: str, info: JSON | None) -> None:
    now, past = attention.mark(), snapshot.changed.get("past")
    news = [snapshot.changed["rounds"], name]
    answer.put("wrong", [info and info.get("wrong"), now], lambda: attention.of_one((info or {}).get("wrong") or []))
    answer.put("about", [info, snapshot.down, now, snapshot.changed["readings"]], lambda: _about(snapshot, name, info))
    answer.put("sensors", info and [info.get("channels"), info.get("health")], lambda: _sensors(info) if info else None)
    answer.put("rounds", news, lambda: _rounds(snapshot, name))
    answer.put("log", [past, *news], lambda: _log(snapshot, name))
    answer.put("came", [past, name], lambda: _came(snapshot.past, name))
    for panel in PANELS:
        answer.plot(panel, snapshot, {**picks, "past": past})


def _log(snapshot: Snapshot, name: str) -> Any:
    """Return what happened to it, the newest first: what the server noted, and rounds that came to nothing for it."""
    if snapshot.past is None:
        return parts.empty(_UNTOLD)
    told = [(event["at"], event["kind"], event["text"]) for event in snapshot.past["events"]]
    told += [
        (entry["ended"] or entry["started"], "round", f"round {entry['round']}: {reason}")
        for entry in snapshot.ended
        if (reason := entry.get("clients", {}).get(name, {}).get("reason"))
    ]
    rows = [[sentences.moment(at), kind, text] for at, kind, text in sorted(told, key=lambda event: -event[0])]
    return table(f"log-{name}", ["When", "What", "In words"], rows) if rows else parts.empty("Nothing happened yet.")


def _came(past: JSON | None, name: str) -> Any:
    if past is None:
        return parts.empty(_UNTOLD)
    rows = [
        [_EVENTS.get(event, event), f"{count['messages']:,}", f"{count['bytes'] / 1000:,.1f}"]
        for event, count in sorted(past["came"].items(), key=lambda item: -item[1]["bytes"])
    ]
    said = "Its own receipt, `bramble client receipt` on the Pi, has each message."
    if not rows:
        return parts.empty(f"Nothing came from it yet. {said}")
    since = f"Since {sentences.moment(past['since'])}. " if past.get("since") else ""
    return [table(f"left-{name}", ["What", "Messages", "kB"], rows), html.P(parts.rich(since + said), className="hint")]


def _about(snapshot: Snapshot, name: str, info: JSON | None) -> Any:
    if info is None:
        if name in snapshot.never_seen:
            return parts.empty("It has a token and has never connected: start it, and look whether it reaches the server.")
        said = "No client of this name has ever been seen. Look for it on the page Fleet."
        return parts.empty(said if snapshot.status else "Nothing is known of the fleet yet: the server has not answered.")
    health = info.get("health") or {}
    cards = [_state(info), _release(info), _machine(health), _work(snapshot, info, health), _budgets(snapshot, health)]
    return cards + ([labels] if (labels := _labels(snapshot, name)) else [])


def _state(info: JSON) -> Any:
    now = time.time()
    if info["connected"]:
        return parts.card("client-state", "State", "connected", [parts.line(f"since {sentences.moment(info['since'])}", "client-since")])
    seen = sentences.ago(now - info["last_seen"]) if info.get("last_seen") else "never"
    return parts.card("client-state", "State", "away", [parts.line(f"last seen {seen}", "client-since")])


def _release(info: JSON) -> Any:
    said = [f"contract {info['protocol']}"] if info.get("protocol") else []
    said += [f"{key} {name}" for key, name in info.get("groups", {}).items()]
    said += ["simulated sensors"] if info.get("simulated") else []
    return parts.card("client-version", "Release", str(info.get("version") or "–"), [parts.line(" · ".join(said), "client-groups")])


def _machine(health: JSON) -> Any:
    warm, bits = health.get("soc_temperature"), health.get("throttled")
    told = [
        None if bits is None else f"power: {throttling(bits) if bits else 'well'}",
        None if health.get("memory_free") is None else f"{health['memory_free']:.0f} MiB memory free",
        DISK.get(health.get("disk") or "ok") or (f"{health['disk_free'] / 1024:.1f} GiB disk free" if health.get("disk_free") else None),
        None if health.get("clock_offset") is None else f"clock {round(health['clock_offset'], 1) + 0.0:+.1f} s",
    ]
    lines = [parts.line(text, f"client-machine-{place}") for place, text in enumerate(filter(None, told))]
    return parts.card(
        "client-machine", "Machine", "–" if warm is None else f"{warm:.0f} °C", lines or [parts.line("says nothing", "client-machine-0")]
    )


def _work(snapshot: Snapshot, info: JSON, health: JSON) -> Any:
    used = (health.get("in_use") or {}).get(snapshot.task or "", "–")
    others = {task: why for task, why in info.get("tasks", {}).items() if why}
    first = health.get("first_training") or 0.0
    told = [
        f"first training in {sentences.plural(max(1, round((first - time.time()) / 60)), 'minute')}" if first > time.time() else None,
        f"{health['alarms']:,} alarms" if health.get("alarms") else None,
        *(f"{task}: {why}" for task, why in others.items()),
    ]
    lines = [parts.line(text, f"client-work-{place}") for place, text in enumerate(filter(None, told))]
    return parts.card("client-use", "Goes by", used, lines)


def _budgets(snapshot: Snapshot, health: JSON) -> Any:
    """Return what its owner, and the fleet's, lets it spend."""
    spent = snapshot.status.get("privacy")
    why = resting(health["not_now"], health.get("not_before")) if health.get("not_now") else "nothing keeps it from training"
    left, until = health.get("bytes_left"), health.get("hours_until")
    told = [
        why,
        "no limit of bytes or hours" if health and left is None and until is None and not health.get("not_now") else None,
        None if left is None else f"{left / 1e6:,.1f} MB left of this month",
        None if until is None else f"{max(0.0, until - time.time()) / 3600:.1f} h left of its hours, until {sentences.moment(until)[11:]}",
        f"privacy of the fleet's model: epsilon {spent['spent']:.3g} of {spent['epsilon']:g}" if spent and spent.get("epsilon") else None,
    ]
    lines = [parts.line(text, f"client-budget-{place}") for place, text in enumerate(filter(None, told))]
    return parts.card("client-budgets", "Budgets", "rests" if health.get("not_now") else "may train", lines)


def _labels(snapshot: Snapshot, name: str) -> Any:
    """Return how its newest readings are labelled, where the task asks for labels; None where it does not."""
    classes = (snapshot.manifest.get("kind") or {}).get("classes") or []
    if not any(channel["key"] == "label" for channel in snapshot.manifest.get("channels", [])):
        return None
    found = snapshot.readings.get(name, {}).get("label")
    if found is None:
        where = "they stay on the client" if snapshot.private else "press its button: see docs/labels.md"
        return parts.card("client-labels", "Labels", "–", [parts.line(where, "client-labels-0")])
    given = [int(value) for value in found.value.tolist() if value == value]
    counts = Counter(classes[number] if 0 <= number < len(classes) else str(number) for number in given)
    lines = [parts.line(f"{what}: {count:,}", f"client-labels-{place}") for place, (what, count) in enumerate(counts.most_common())]
    return parts.card(
        "client-labels", "Labels", f"{len(given):,}", [parts.line("of the readings that are shown", "client-labels-of"), *lines]
    )


def _sensors(info: JSON) -> Any:
    health = info.get("health") or {}
    gone = [(name, "does not answer", "bad") for name in health.get("sensors_gone", ())]
    doubted = [(name, "reads what is not believed", "bad") for name in health.get("sensors_doubted", ())]
    channels = [(channel["key"], channel["unit"] or "no unit", "") for channel in info.get("channels", ())]
    every, age = health.get("sample_every"), health.get("sample_age")
    said = ["takes readings when it is asked" if every is None else f"takes readings every {every:g} s"] if health else []
    said += [f"newest {sentences.ago(age)}"] if age is not None else []
    said += [f"{health['samples_missed']:,} missed"] if health.get("samples_missed") else []
    said += [f"{health['windows_doubtful']:,} windows doubtful"] if health.get("windows_doubtful") else []
    rows = [[name, html.Span(text, className=look)] for name, text, look in (*gone, *doubted, *channels)]
    return [html.P(", ".join(said), className="hint"), table("channels", ["Sensor or channel", "Unit, or what is wrong"], rows)]


def _rounds(snapshot: Snapshot, name: str) -> Any:
    metric = Metric(snapshot.manifest)
    entries = [(entry, entry["clients"][name]) for entry in snapshot.ended if name in entry.get("clients", {})]
    if not entries:
        return parts.empty("It took part in no round yet. Press Start round, or `bramble round start`.")
    titles = ("Round", "Samples", "Loss before", "Loss after", metric.title, "Baseline", "kB sent", "Came to nothing because")
    rows = [
        [
            parts.link(str(entry["round"]), f"/rounds/{entry['round']}", snapshot.task),
            _number(part.get("samples"), ",d"), _number(part.get("loss_before")), _number(part.get("loss_after")),
            _number(metric.value(part.get("test_error"))), _number(metric.value(part.get("test_baseline"))),
            f"{part['bytes'] / 1000:,.1f}" if part.get("bytes") else "–",
            part.get("reason") or "",
        ]
        for entry, part in entries[: -ROUNDS - 1 : -1]
    ]  # fmt: skip
    total = sum(part.get("bytes") or 0 for _, part in entries)
    left = html.P(f"{total / 1000:,.0f} kB of updates left it in {sentences.plural(len(entries), 'round')}.", className="hint")
    return [table(f"rounds-{name}", titles, rows), left]


def _number(value: float | None, form: str = ".3g") -> str:
    return "–" if value is None else format(value, form)


def _mine(picks: JSON) -> list[str]:
    return [picks["client"] or ""]


PANELS = (
    Panel(
        "client-machine",
        (),
        ("client", "measure", "past"),
        lambda snapshot, picks: machine.figure(snapshot.past, picks["measure"]),
        lambda snapshot, picks: (
            "It has reported nothing of this yet; the others above may have more." if snapshot.past is not None else _UNTOLD
        ),
    ),
    Panel(
        "client-readings",
        ("readings", "task"),
        ("client",),
        lambda snapshot, picks: streams.figure(snapshot, _mine(picks), str(snapshot.manifest.get("target", "")), None),
        lambda snapshot, picks: sentences.no_readings(snapshot),
    ),
    Panel(
        "client-forecast",
        ("readings", "rounds", "task"),
        ("client",),
        lambda snapshot, picks: forecast.figure(snapshot, _mine(picks)),
        lambda snapshot, picks: sentences.no_forecasts(snapshot),
    ),
    Panel(
        "client-error",
        ("rounds", "task"),
        ("client",),
        lambda snapshot, picks: learning.error(snapshot, _mine(picks)),
        lambda snapshot, picks: sentences.no_error(snapshot),
    ),
)
