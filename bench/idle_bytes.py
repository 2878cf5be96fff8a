"""What a client's reports and heartbeats carry in a month without training, and what is saved once its owner's bytes are used up."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.loopback import Process, serve, wait_for
from bench.table import Row
from bench.wire import Counter
from bramble_protocol.health import INTERVAL, SPARING

MONTH_S = 30 * 86400
SETTLED_S, REPORTS = 10, 6
USED_UP = "1K"
"""Bytes a month that the connection alone has spent."""


def per_second() -> tuple[float, float]:
    """Return the bytes a second of a client that may send what it likes, and of one whose bytes are used up, between two reports of it."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        server = stack.enter_context(serve(folder))
        counters = []
        for client, flags in (("free", ()), ("spent", ("--monthly-bytes", USED_UP))):
            counters.append(stack.enter_context(Counter(server.port)))
            about = ("--server", counters[-1].url, "--id", client, "--sensors", "mock", "--data-dir", str(folder / client), *flags)
            stack.callback(Process("-m", "bramble_client", *about, log=folder / f"{client}.log").end)
        wait_for(lambda: server.api.status()["clients"] == len(counters), "the clients")
        time.sleep(SETTLED_S + INTERVAL)  # the first reports, the last that is sent before it is known that the bytes are used up
        before = [sum(counter.bytes.values()) for counter in counters]
        time.sleep(REPORTS * INTERVAL)
        free, spent = ((sum(counter.bytes.values()) - was) / (REPORTS * INTERVAL) for counter, was in zip(counters, before, strict=True))
        return free, spent


def main() -> list[Row]:
    free, heartbeats = per_second()
    reports = (free - heartbeats) * INTERVAL
    spent = heartbeats + reports / SPARING
    month = free * MONTH_S / 1e6, spent * MONTH_S / 1e6
    return [
        Row(
            "Client that trains nothing: bytes a month, both ways", month[0], "MB", None,
            f"a report of {reports:.0f} B each {INTERVAL:.0f} s",
        ),
        Row(
            "The same once its month's bytes are used up", month[1], "MB", None,
            f"a report each {SPARING / 60:.0f} minutes, and heartbeats of {heartbeats * MONTH_S / 1e6:.1f} MB; "
            f"measured over {REPORTS * INTERVAL:.0f} s by a proxy, without headers of TCP",
        ),
    ]  # fmt: skip
