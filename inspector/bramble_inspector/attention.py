"""Who needs somebody, with what, and since when: the first thing on the page of the fleet. The server says so; here it is laid out."""

from __future__ import annotations

import time
from typing import Any

from dash import html

from bramble.api import JSON
from bramble_inspector import parts, sentences
from bramble_inspector.feed import Snapshot

LISTED = 12
"""Clients that are named here; the table has all of them."""
LONGEST_NAME = 26
"""Characters of a client's name, which is to fit on a phone."""


def listed(snapshot: Snapshot) -> Any:
    """Return the list, or that all is well; nothing where the server cannot say so."""
    summary = snapshot.summary
    if summary is None or not summary["total"]:
        return None
    count = summary["attention"]
    if not count:
        return html.Section(html.Div([html.I(className="mark well"), "Nobody needs you: all is well."]), className="attention none")
    rows = [row for row in summary["rows"][:LISTED] if row["wrong"]]
    beyond = count > len(rows)
    more = html.P(parts.link(f"All {count} in the table", "/", snapshot.task, attention="any"), className="more") if beyond else None
    head = html.Div([html.H2(f"Needs attention ({count})"), _kinds(summary["kinds"], snapshot) if beyond else None], className="panel-head")
    return html.Section([head, html.Ol([_row(row, snapshot) for row in rows], className="sick"), more], className="attention")


def _kinds(counts: dict[str, int], snapshot: Snapshot) -> Any:
    """Return how many have what, the most frequent first, each a link to these in the table."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    links = [
        parts.link(f"{kind.replace('_', ' ')} {count}", "/", snapshot.task, className="kind", attention=kind) for kind, count in ordered
    ]
    return html.Div(links, className="kinds")


def _row(row: JSON, snapshot: Snapshot) -> Any:
    first, *others = row["wrong"]
    name = html.Span(sentences.short(row["id"], LONGEST_NAME), title=row["id"])
    also = f" Also: {'; '.join(complaint['text'] for complaint in others)}." if others else ""
    text = html.Span([first["text"], html.Span(also, className="hint") if also else None], className="why", title=first["text"] + also)
    place = ", ".join(row["groups"].values())
    return html.Li(
        [
            html.I(className=f"mark {first['kind']}"),
            parts.link(name, f"/client/{row['id']}", snapshot.task, className="who"),
            text,
            html.Span(since(first["since"]), className="since"),
            html.Span(place, className="place hint"),
        ]
    )


def of_one(wrong: list[JSON]) -> Any:
    """Return what is wrong with one client, each with since when; None if all is well."""
    if not wrong:
        return None
    rows = [
        html.Li(
            [
                html.I(className=f"mark {one['kind']}"),
                html.Span(one["text"], className="why"),
                html.Span(since(one["since"]), className="since"),
            ]
        )
        for one in wrong
    ]
    return html.Section(html.Ol(rows, className="sick single"), className="attention")


def since(at: float | None) -> str:
    """Say since when, coarsely enough not to change at every look."""
    if at is None:
        return ""
    said = sentences.ago(time.time() - at)
    return said if said == "just now" else f"for {said.removesuffix(' ago')}"


def mark() -> int:
    """Return what the list's words depend on beside who is on it: how long ago something was."""
    return int(time.time() // 10)
