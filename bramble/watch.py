"""``bramble round watch``: see clients, or the server itself, through the next round, and tell a wrong release from a young fleet."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from bramble import fleet
from bramble.api import JSON, PAUSE_S, Server, ServerRefused
from bramble.settings import WatchRoundSettings
from bramble_protocol import reasons
from bramble_protocol.printable import printable

ROUNDS = 3
"""Rounds that are watched at most. The first may have begun before a client was upgraded; of one more anybody may miss the start."""
BEFORE = 20
"""Rounds before, in which is looked for what is usual."""
CHRONIC = 3
"""Rounds one after the other in which a sensor was not believed, from which on that is no news about a release."""
TRIES = 2
"""Rounds that a server may abandon before it is the server's fault: now and then clients go away in the middle."""


@dataclass
class Finding:
    """What a watch ends with."""

    round: int | None = None
    """The last round that was watched."""
    failed: dict[str, str] = field(default_factory=dict)
    """What is wrong, by client; under the empty name what is wrong with the round itself."""
    notes: list[str] = field(default_factory=list)
    """What could not be found out, and why that is nobody's fault."""


def run(settings: WatchRoundSettings) -> int:
    """Watch, and print what came of it; return 1 if somebody failed, else 0.

    Raises
    ------
    ServerError
        If the server does not answer, or refuses to start a round.
    """
    server = Server.of(settings)
    wanted = {name: version for name, _, version in (client.partition("@") for client in settings.clients)}
    found = see_each(server, settings, wanted)
    if settings.as_json:
        clients = {name: found.failed.get(name) for name in wanted or [""]}
        print(json.dumps({"round": found.round, "clients": clients, "notes": found.notes}))
    else:
        for name, why in found.failed.items():
            print(printable(f"{name}: {why}" if name else why, None), file=sys.stderr)
        for note in found.notes:
            print(printable(f"note: {note}", None))
        if found.round and not found.failed:
            print(f"round {found.round}: all is well")
    return 1 if found.failed else 0


def see_each(server: Server, settings: WatchRoundSettings, wanted: dict[str, str]) -> Finding:
    """Watch rounds of the task that is named, or else of each that is served: who takes no part in a further one is well without it."""
    tasks = [settings.task] if settings.task else [task["task"] for task in server.status().get("tasks", ())] or [None]
    found = Finding()
    for place, task in enumerate(tasks):
        clients = server.clients() if place and wanted else {}
        asked = {
            name: version
            for name, version in wanted.items()
            if name not in found.failed and clients.get(name, {}).get("tasks", {}).get(task) is None
        }
        if wanted and not asked:
            continue
        seen = Watch(server, settings.within, settings.seen_within, task).see(asked)
        found.round = seen.round or found.round
        found.failed |= seen.failed
        found.notes += [f"{task}: {note}" if len(tasks) > 1 else note for note in seen.notes]
    return found


class Watch:
    """Watches one server.

    Parameters
    ----------
    within
        Seconds that a round may take.
    seen_within
        Seconds in which clients must be there.
    task
        Whose rounds are watched; the server's first task by default.
    """

    def __init__(self, server: Server, within: float, seen_within: float, task: str | None = None) -> None:
        self._server, self._within, self._seen_within, self._task = server, within, seen_within, task
        self._since: dict[str, float] = {}
        """Since when each client is there that is watched, by the server's clock."""
        self._silent: set[str] = set()
        """Who did not answer in a round."""

    def see(self, wanted: dict[str, str]) -> Finding:
        """Watch clients, each with the version that it must have or an empty text; without any, the server."""
        found = Finding(failed=self._unseen(wanted))
        waiting = {name for name in wanted if name not in found.failed}
        if wanted and not waiting:
            return found
        if too_few := self._too_few():
            found.notes.append(too_few)
            return found
        for attempt in range(1, ROUNDS + 1):
            try:
                record = self._one()
            except ServerRefused as error:
                if error.status != 503:
                    raise
                found.notes.append(f"no round can be held: {error}")
                return found
            found.round = record["round"]
            if not wanted:
                wrong = self._of_server(record, found)
                if wrong is None:
                    return found
                if attempt == TRIES:
                    found.failed[""] = wrong
                    return found
            else:
                waiting = self._of_clients(record, waiting, found)
                if not waiting:
                    return found
        found.failed |= {name: f"it answered in none of {ROUNDS} rounds" for name in waiting & self._silent}
        found.notes += [f"{name} was not asked in any of {ROUNDS} rounds" for name in sorted(waiting - self._silent)]
        return found

    def _unseen(self, wanted: dict[str, str]) -> dict[str, str]:
        """Wait for clients; return what is wrong with those that do not come."""
        until = time.monotonic() + self._seen_within
        while True:
            clients, now = self._server.clients() if wanted else {}, time.time()
            wrong = {name: why for name, version in wanted.items() if (why := _unlike(clients.get(name), version, now))}
            if not wrong or time.monotonic() >= until:
                self._since = {name: clients[name]["since"] for name in wanted if name not in wrong}
                return wrong
            time.sleep(5 * PAUSE_S)

    def _too_few(self) -> str | None:
        """Wait until a round can be held, if the fleet is large enough at all; return why none can."""
        until = time.monotonic() + self._seen_within
        while True:
            status, clients = self._server.status(self._task), self._server.clients()
            able, needed = status["able"], status["min_clients"]
            if able >= needed or status["running"] is not None:
                return None
            if len(clients) < needed or time.monotonic() >= until:
                return f"no round can be held yet: {able} clients are there that can take part, and a round needs {needed}"
            time.sleep(5 * PAUSE_S)

    def _one(self) -> JSON:
        """Return the record of one round, of the one that runs or of one that is started, when it has ended, or when time is up."""
        until = time.monotonic() + self._within
        while (number := self._server.status(self._task)["running"]) is None:
            try:
                number = self._server.start(self._task)["round"]
                break
            except ServerRefused as error:
                if error.status != 409 or time.monotonic() >= until:
                    raise
        while self._server.status(self._task)["running"] == number and time.monotonic() < until:
            time.sleep(2 * PAUSE_S)
        return self._server.round(number)

    def _of_clients(self, record: JSON, waiting: Iterable[str], found: Finding) -> set[str]:
        """Note what a round tells about clients; return those about whom it tells nothing."""
        left = set[str]()
        for name in waiting:
            part, since = record["clients"].get(name), self._since[name]
            replied = part is not None and part["replied"] is not None
            reason = part and part["reason"]
            if part is None or (part["replied"] < since if replied else record["started"] < since):
                left.add(name)  # not asked, or it was the process before this one that was
            elif reason is None:
                if not replied:  # the round was broken off, or has not ended in time
                    left.add(name)
            elif reasons.spared(reason):
                left.add(name)
            elif reasons.too_little(reason) or reasons.not_now(reason) or reasons.of_secrecy(reason):
                found.notes.append(f"{name} did not train: {reason}")
            elif reasons.silent(reason) and name not in self._silent:
                self._silent.add(name)
                left.add(name)
            elif _of_readings(reason) and self._chronic(name, record["round"]):
                found.notes.append(f"{name} did not count, as in the rounds before: {reason}")
            else:
                found.failed[name] = f"round {record['round']}: {reason}"
        return left

    def _of_server(self, record: JSON, found: Finding) -> str | None:
        """Return what a round tells against the server, or None."""
        if record["state"] == "committed":
            return None
        number, reason = record["round"], record["reason"] or f"it did not end within {self._within:g} s"
        sentence = f"round {number} was {'abandoned' if record['state'] != 'running' else 'not finished'}: {reason}"
        said = (part["reason"] for part in record["clients"].values() if part["reason"])
        # Clients get their keys for secure sums after the server has the roll of them.
        kept = [reason for reason in said if reasons.of_secrecy(reason) or reasons.unsigned(reason)]
        if kept:
            found.notes.append(f"{sentence}; {len(kept)} clients took no part: {kept[0]}")
            return None
        if any(before["state"] == "committed" for before in self._before(number)) or reasons.of_server(reason):
            return sentence
        found.notes.append(f"{sentence}; nor was there any committed among the {BEFORE} rounds before")
        return None

    def _chronic(self, name: str, number: int) -> bool:
        parts = [record["clients"][name]["reason"] for record in self._before(number) if name in record.get("clients", {})]
        return len(parts) >= CHRONIC and all(reason is not None and _of_readings(reason) for reason in parts[-CHRONIC:])

    def _before(self, number: int) -> list[JSON]:
        return [record for record in self._server.rounds(max(0, number - 1 - BEFORE), BEFORE, self._task) if record["round"] < number]


def _of_readings(reason: str) -> bool:
    return reasons.doubtful(reason) or reasons.left_out(reason)


def _unlike(client: JSON | None, version: str, now: float) -> str | None:
    """Return what a client lacks to be taken for one that is well, or None."""
    if client is None:
        return "the server has never seen it"
    lacks = [] if client["connected"] else ["it is gone"]
    if version and client["version"] != version:
        lacks.append(f"it is at version {client['version']}")
    if client["connected"] and not fleet.fresh(client, now):
        lacks.append("it has no fresh sample")
    return " and ".join(lacks) or None
