"""Five hundred clients at once, each a real connection, over several processes: none lost, none dropped."""

from __future__ import annotations

import numpy as np

from bench.loopback import fleet, many_files, rounds_ended, running
from bench.table import Row

CLIENTS, PROCESSES, PARAMETERS, ROUNDS = 500, 4, 10_000, 20


def main() -> list[Row]:
    many_files()
    flags = ("--rounds", str(ROUNDS), "--min-clients", str(CLIENTS))
    with running(*flags, parameters=PARAMETERS) as server, fleet(server.url, CLIENTS, PROCESSES) as report:
        rounds = rounds_ended(server, ROUNDS)
        connected = server.api.status()["clients"]
        reports, cpu, memory = report(), server.cpu(), server.memory()
    lost = sum(CLIENTS - item["updates"] for item in rounds)
    dropped = sum(part["reason"] is not None for item in rounds for part in item["clients"].values())
    seconds = float(np.median([item["ended"] - item["started"] for item in rounds]))
    what = f"{CLIENTS} clients in {PROCESSES} processes, {PARAMETERS / 1000:g} k parameters"
    return [
        Row("rounds committed", sum(item["state"] == "committed" for item in rounds), "", ROUNDS, what, bound="at least"),
        Row("updates lost", lost, "", 0, f"of {CLIENTS * ROUNDS:,}"),
        Row("clients dropped", dropped + sum(item["disconnects"] for item in reports), "", 0),
        Row("updates refused", sum(len(item["refused"]) for item in reports), "", 0),
        Row("clients still connected at the end", connected, "", CLIENTS, bound="at least"),
        Row("a round, median", seconds, "s", None, "clients and server share the machine"),
        Row("the server's processor time per round and client", 1000 * cpu / ROUNDS / CLIENTS, "ms", None, "handshakes included"),
        Row("the server's memory", memory, "MB PSS"),
    ]
