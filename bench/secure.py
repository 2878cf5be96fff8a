"""What it costs that the server sees sums alone: a secure round beside a plain one, and the cryptography by itself.

The sums of 100 clients of which 30 drop out in each phase in turn are compared with the true mean; a Pi-class core is taken to be a fifth
as fast as this machine's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.loopback import fleet, running, wait_for
from bench.secure_sums import METRICS, PHASES, Sum, changes
from bench.table import Row
from bench.wire import Counter
from bramble_protocol.errors import ProtocolError
from bramble_protocol.secure import masking

CLIENTS, PARAMETERS, ROUNDS = 20, 10_000, 15
PAIRS = 3
"""Times that both are measured, in turns."""
PROCESSES = 2
"""That the clients are spread over: as many as this machine has cores, for each Pi has its own."""
MANY, DROPPING = 100, 30
PI = 5
"""How many times slower a Pi's core is."""
MASKED = 100_000
"""Parameters that it masks."""


class Cost(NamedTuple):
    """Of one round, a median; bytes and processor of one client; processor of the server."""

    seconds: float
    size: float
    cpu: float
    server: float


def rounds(*flags: str, module: str) -> Cost:
    """Run rounds of clients that answer at once."""
    with (
        running("--min-clients", str(CLIENTS), *flags, parameters=PARAMETERS) as server,
        Counter(server.port) as counter,
        fleet(counter.url, CLIENTS, PROCESSES, module=module) as report,
    ):
        took, before, used = [], 0, 0.0
        for number in range(ROUNDS + 2):  # the first two warm everything up
            if number == 2:
                report()
                before, used = sum(counter.bytes.values()), server.cpu()
            opened = server.api.start()["round"]
            wait_for(lambda: server.api.status()["running"] is None, "the end of a round")
            record = server.api.round(opened)
            if record["state"] != "committed" or record["updates"] != CLIENTS:
                raise RuntimeError(f"round {opened}: {record['state']} with {record['updates']} updates: {record['reason']}")
            took.append(record["ended"] - record["started"])
        cpu = sum(seen.get("cpu", 0.0) for seen in report()) / ROUNDS / CLIENTS
        return Cost(median(took[2:]), (sum(counter.bytes.values()) - before) / ROUNDS / CLIENTS, cpu, (server.cpu() - used) / ROUNDS)


def dropping(phase: str) -> tuple[float, str]:
    """Return by how many steps the mean of those that are in a sum is off, where 30 of 100 drop out in a phase, and what became of it."""
    secure = Sum(changes(MANY, 1000))
    gone: Mapping[str, Sequence[str]] = {phase: sorted(secure.changes)[:: MANY // DROPPING][:DROPPING]}
    try:
        opened = secure.run(gone)
    except ProtocolError as error:
        return 0.0, f"abandoned: {error}"
    off = np.abs(opened.change - secure.mean(sorted(secure.seen))).max()
    return float(off / secure.accuracy), f"opened, {len(secure.seen)} clients in it"


def masking_takes(clients: int) -> float:
    """Return the seconds of a processor in which one of so many clients encodes its change and masks it."""
    secure = Sum(changes(clients, MASKED))
    secure.keys()
    secure.shares()
    name = secure.live[0]
    told = secure.collector.told("masked", secure.live)[name]
    secure.parties[name].take({each: told[1][at * 80 : at * 80 + 80] for at, each in enumerate(told[0])})
    began = time.process_time()
    secure.parties[name].mask(secure.encoding.encode(secure.changes[name], 100, METRICS))
    return time.process_time() - began


def main() -> list[Row]:
    pairs = [(rounds(module="bench.answering"), rounds("--secure", module="bench.secure_answering")) for _ in range(PAIRS)]
    ratios = sorted(secure.seconds / plain.seconds for plain, secure in pairs)
    plain, secure = (Cost(*map(median, zip(*costs, strict=True))) for costs in zip(*pairs, strict=True))
    about = f"{CLIENTS} clients, {PARAMETERS:,} parameters, loopback, {ROUNDS} rounds, load {os.getloadavg()[0]:.0f}"
    rows = [
        Row("a plain round", 1000 * plain.seconds, "ms", ratio_of=about),
        Row("a secure round", 1000 * secure.seconds, "ms", ratio_of=about),
        Row(
            "a secure round's time, beside a plain one's",
            median(ratios),
            limit=6,
            ratio_of=f"{ratios[0]:.1f} to {ratios[-1]:.1f} of {PAIRS} pairs; {about}",
        ),
        Row("a secure round's bytes, beside a plain one's", secure.size / plain.size, limit=1.3, ratio_of=f"{secure.size:,.0f} B a client"),
        Row("processor of the server for a plain round", 1000 * plain.server, "ms", ratio_of=about),
        Row("processor of the server for a secure round", 1000 * secure.server, "ms", ratio_of=about),
        Row("processor for a client's part in the cryptography", 1000 * secure.cpu, "ms", 15, about),
    ]
    for phase in PHASES:
        off, became = dropping(phase)
        rows.append(Row(f"{DROPPING} of {MANY} clients drop out in the phase {phase}: off by, in steps", off, limit=1, ratio_of=became))
    for clients in (CLIENTS, MANY):
        took = PI * masking_takes(clients)
        rows.append(Row(f"a Pi-class core masks {MASKED:,} parameters, one of {clients} clients", took, "s", 1, f"{PI} times this core's"))
    began = time.process_time()
    masking.add_mask(np.zeros(MASKED, np.uint32), bytes(32))
    rows.append(Row(f"one mask of {MASKED:,} words", 1000 * (time.process_time() - began), "ms", ratio_of="this machine's core"))
    return rows
