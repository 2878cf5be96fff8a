"""The registry of clients: who is connected or was, which channels and features each has, and which tasks it can train."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from bramble_protocol.clock import Clock
from bramble_protocol.health import Health
from bramble_protocol.messages import Channel, Handshake
from bramble_server.fleet import attention, eligibility, plausibility
from bramble_server.fleet.attention import Complaint, Part
from bramble_server.fleet.chronicle import Chronicle
from bramble_server.fleet.drifts import Drift, compared
from bramble_server.fleet.namesakes import Namesakes
from bramble_server.fleet.plausibility import Needs
from bramble_server.fleet.refused import Refused
from bramble_server.fleet.reported import reported, shown
from bramble_server.fleet.tokens import hash_of

REMEMBERED = 2_000
"""Clients that are gone and still listed; beyond that one is forgotten, the one gone longest of those that stayed least."""
LOOKED_IN = 60.0
"""Seconds that a client was ever there, below which it only looked in."""


@dataclass(frozen=True)
class Client:
    """A client that is or was connected. Times are seconds since 1970 UTC."""

    id: str
    sid: str | None
    """Its Socket.IO session, ``None`` when it is gone."""
    address: str
    simulated: bool
    version: str
    channels: tuple[Channel, ...]
    since: float
    """When it connected, or when it left."""
    last_seen: float
    """When its last message came."""
    last_cycle: int | None = None
    credential: str = field(default="", repr=False)
    """Hash of the token it connected with."""
    health: Health | None = None
    """Its last report on itself, and when it came."""
    health_at: float | None = None
    ailing: Mapping[str, float] = field(default_factory=dict)
    """What its reports say is wrong with its machine, by kind, and since when."""
    protocol: int = 1
    """Version of the contract that it speaks: 1 is sent exactly the fields of that version."""
    features: tuple[str, ...] = ()
    """What both it and this server can do beyond the contract's first version."""
    instance: str = field(default="", repr=False)
    """Which process it is; empty where a client of version 1 does not tell."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """What its owner sorts it by."""
    first_seen: float = 0.0
    left_out: Mapping[str, str | None] = field(default_factory=dict)
    """Why its last update to each task did not count, in a sentence, or None."""
    misfits: Mapping[str, str | None] = field(default_factory=dict)
    """Why it cannot train each of this server's tasks, or None; the first task first."""
    unwell: Mapping[str, str | None] = field(default_factory=dict)
    """Why it is not asked for each of them for the time being, by its last report on itself, or None."""

    quarantined: Mapping[str, str] = field(default_factory=dict)
    """Why it is asked no more for rounds of a task, until an operator lets it back."""

    @property
    def mark(self) -> str:
        """What tells it from another client with its id: its process, or its address where it does not tell."""
        return self.instance or self.address

    @property
    def not_asked(self) -> Mapping[str, str | None]:
        """Why it is not asked for rounds of each of this server's tasks, for good or for the time being, or None."""
        shut = {task: f"is in quarantine, for it {why}" for task, why in self.quarantined.items()}
        return {task: reason or shut.get(task) or self.unwell.get(task) for task, reason in self.misfits.items()}

    @property
    def idle(self) -> str | None:
        """Why it can train none of the tasks; None where it can train one."""
        reasons = list(self.misfits.values())
        return reasons[0] if reasons and all(reasons) else None

    @property
    def connected(self) -> bool:
        """Whether it is there now."""
        return self.sid is not None


class Registry:
    """The clients by id. Changed by the connection handlers and read by everybody, always in one piece.

    Parameters
    ----------
    tasks
        What a client must have to be asked for rounds of each task, by name; the first task first.
    clock
        Tells when clients come, leave and are heard; everybody who deals with clients asks the same one.
    """

    def __init__(self, tasks: Mapping[str, Needs] | None = None, clock: Clock = time) -> None:
        self._tasks, self.clock = dict(tasks or {}), clock
        self._clients: dict[str, Client] = {}
        self._by_sid: dict[str, str] = {}
        self._misfits = {task: set[str]() for task in self._tasks}
        self._unwell = {task: set[str]() for task in self._tasks}
        self._quarantined: dict[str, Mapping[str, str]] = {}
        self.namesakes, self.chronicle = Namesakes(), Chronicle()
        self.refused = Refused()
        self.moved, self.touched = set[str](), set[str]()
        """Clients that came, left or were forgotten since whoever keeps the list took this, and those that differ at all."""

    def join(self, hello: Handshake, sid: str, address: str) -> str | None:
        """Take a connection in; return the session of an older connection of the same client, which it replaces."""
        now, former = self.clock.time(), self._clients.pop(hello.client_id, None)
        client = Client(
            hello.client_id, sid, address, hello.simulated, hello.version, hello.channels, now, now,
            former.last_cycle if former else None, hash_of(hello.token or ""), protocol=hello.protocol, features=hello.features,
            instance=hello.instance, groups=hello.groups, first_seen=former.first_seen if former else now,
            misfits=self._misfits_of(hello.channels, hello.features, hello.groups), left_out=former.left_out if former else {},
            quarantined=self._shut_out(hello.client_id),
        )  # fmt: skip
        self._clients[client.id] = client
        self._by_sid[sid] = client.id
        self.moved.add(client.id)
        self.chronicle.note(client.id, now, "connected", f"connected, release {client.version}" if client.version else "connected")
        for task, names in self._misfits.items():
            (names.add if client.misfits[task] else names.discard)(client.id)
            self._unwell[task].discard(client.id)  # until it reports anew
        if former and former.sid:
            del self._by_sid[former.sid]
        return former.sid if former else None

    def restore(self, clients: Iterable[Client]) -> None:
        """Take in those whom a former server knew; none of them is connected."""
        self._clients = {
            client.id: replace(
                client, misfits=self._misfits_of(client.channels, None, client.groups), quarantined=self._shut_out(client.id)
            )
            for client in clients
        }

    def _misfits_of(self, channels: Iterable[Channel], features: Iterable[str] | None, groups: Mapping[str, str]) -> dict[str, str | None]:
        return {task: plausibility.misfit(channels, features, needs, groups) for task, needs in self._tasks.items()}

    def add(self, task: str, needs: Needs) -> None:
        """Look from here on at who can train another task too."""
        self._tasks = {**self._tasks, task: needs}
        self._misfits[task], self._unwell[task] = set(), set()
        for client in list(self._clients.values()):
            misfit = plausibility.misfit(client.channels, client.features if client.connected else None, needs, client.groups)
            told = client.health if client.connected else None
            unwell = eligibility.reason(told, self.clock.time(), needs.well) if told else None
            self._clients[client.id] = replace(
                client, misfits={**client.misfits, task: misfit}, unwell={**client.unwell, task: unwell} if told else client.unwell
            )
            for names, reason in ((self._misfits[task], misfit), (self._unwell[task], unwell)):
                if client.connected and reason:
                    names.add(client.id)

    def remove(self, task: str) -> None:
        """Look no longer at who can train a task."""
        self.quarantine(task, {})
        self._tasks = {name: needs for name, needs in self._tasks.items() if name != task}
        del self._misfits[task], self._unwell[task]
        for client in list(self._clients.values()):
            misfits, unwell, left_out = (
                {name: reason for name, reason in each.items() if name != task} for each in (client.misfits, client.unwell, client.left_out)
            )
            self._clients[client.id] = replace(client, misfits=misfits, unwell=unwell, left_out=left_out)

    def leave(self, sid: str) -> str | None:
        """Note that a connection ended; return the client that is gone with it, if no newer connection has replaced it."""
        name = self._by_sid.pop(sid, None)
        if name is None:
            return None
        # Moved to the end of the dictionary: the order of departure is the order of forgetting.
        self._clients[name] = replace(self._clients.pop(name), sid=None, since=self.clock.time(), unwell={})
        self.moved.add(name)
        self.chronicle.note(name, self.clock.time(), "left", "left")
        for names in (*self._misfits.values(), *self._unwell.values()):
            names.discard(name)
        if len(self._clients) - len(self._by_sid) > REMEMBERED:
            gone = [client for client in self._clients.values() if not client.connected]
            # Who only looked in goes first: nobody can push a fleet off the list with a thousand invented names.
            gone.sort(key=lambda client: client.last_seen - client.first_seen >= LOOKED_IN)
            for client in gone[: len(gone) - REMEMBERED]:
                self.forget(client.id)
        return name

    def forget(self, name: str) -> bool:
        """Take a client off the list; return whether it was there and is not connected."""
        client = self._clients.get(name)
        if client is None or client.connected:
            return False
        del self._clients[name]
        self.moved.add(name)
        self.chronicle.forget(name)
        return True

    def seen(self, sid: str, cycle: int | None = None) -> Client | None:
        """Note a message, perhaps with readings of a cycle; return who sent it, or ``None`` for a session of nobody."""
        name = self._by_sid.get(sid)
        if name is None:
            return None
        before = self._clients[name]
        client = self._clients[name] = copy(before)  # with every message: `replace` gives each of its fields to a new one
        vars(client).update(last_seen=self.clock.time(), last_cycle=before.last_cycle if cycle is None else cycle)
        self.touched.add(name)
        return client

    def judged(self, task: str, left_out: Mapping[str, str | None]) -> None:
        """Note of clients why their last update to a task did not count, or None because it did."""
        for name, sentence in left_out.items():
            client = self._clients.get(name)
            if client and client.left_out.get(task) != sentence:
                self._clients[name] = replace(client, left_out={**client.left_out, task: sentence})
                self.chronicle.note(
                    name, self.clock.time(), "left out" if sentence else "counts", f"{task}: {sentence or 'its update counts'}"
                )

    def quarantine(self, task: str, out: Mapping[str, str]) -> set[str]:
        """Ask these clients no more for rounds of a task, each for a reason, and no others; return who is new among them."""
        former, self._quarantined = self._quarantined.get(task, {}), {**self._quarantined, task: out}
        for name in (former.keys() ^ out.keys()) & self._clients.keys():
            self._clients[name] = replace(self._clients[name], quarantined=self._shut_out(name))
            self.chronicle.note(name, self.clock.time(), "quarantine", f"{task}: {f'it {out[name]}' if name in out else 'let back'}")
        return out.keys() - former.keys()

    def _shut_out(self, client: str) -> dict[str, str]:
        return {task: out[client] for task, out in self._quarantined.items() if client in out}

    def report(self, client: str, health: Health) -> bool:
        """Note what a client says of itself and its machine; return whether it is asked for other tasks' rounds now than before."""
        known, now = self._clients[client], self.clock.time()
        unwell = {task: eligibility.reason(health, now, needs.well) for task, needs in self._tasks.items()}
        said = dict(attention.machine(health, now))
        ailing = {kind: known.ailing.get(kind, now) for kind in said}
        self.chronicle.measured(client, health, now)
        for kind, text in attention.changes(known, health, said):
            self.chronicle.note(client, now, kind, text)
        self._clients[client] = replace(known, health=health, health_at=now, unwell=unwell, ailing=ailing)
        before = [client in names for names in self._unwell.values()]
        for task, names in self._unwell.items():
            (names.add if unwell[task] and known.connected else names.discard)(client)
        return before != [client in names for names in self._unwell.values()]

    @property
    def tasks(self) -> list[str]:
        """The tasks that clients are asked for, the first first."""
        return [*self._tasks]

    def in_use(self, task: str) -> dict[str, int]:
        """Return how many connected clients go by which model of a task."""
        reports = (client.health for client in self._clients.values() if client.connected)
        return dict(Counter(chosen for report in reports if report and (chosen := report.in_use.get(task))))

    def drifts(self, task: str) -> dict[str, Drift]:
        """Return which connected clients' error of a task has risen, compared with all that forecast it."""
        reports = {name: client.health for name, client in self._clients.items() if client.connected}
        return compared({name: report.drifted.get(task) for name, report in reports.items() if report and task in report.in_use})

    def health(self) -> dict[str, dict[str, Any]]:
        """Return the last report of each connected client that has sent one, by id."""
        return {name: report for name, client in self._clients.items() if client.connected and (report := reported(client)) is not None}

    def who_fit(self, needs: Needs) -> list[str]:
        """Return the ids of all known clients, connected or not, that could train a task with these needs."""
        return [name for name, client in self._clients.items() if plausibility.misfit(client.channels, None, needs, client.groups) is None]

    def get(self, client: str) -> Client | None:
        """Return a client by its id."""
        return self._clients.get(client)

    def name(self, sid: str) -> str | None:
        """Return the id of the client with this session."""
        return self._by_sid.get(sid)

    def connected(self) -> list[str]:
        """Return the ids of all connected clients, in order."""
        return sorted(self._by_sid.values())

    def able(self, task: str) -> list[str]:
        """Return the ids of the connected clients that are asked for rounds of a task, in order."""
        passed = self._misfits[task] | self._resting(task)
        return [name for name in self.connected() if name not in passed]

    def ready(self, task: str) -> int:
        """How many connected clients are asked for rounds of a task."""
        return len(self._by_sid) - len(self._misfits[task] | self._resting(task))

    def unwell(self, task: str) -> int:
        """How many could train a task, and are not asked for the time being."""
        return len(self._resting(task) - self._misfits[task])

    def _resting(self, task: str) -> set[str]:
        """Return who is connected and not asked for the time being: by its report, or in quarantine."""
        shut = self._quarantined.get(task, {})
        return self._unwell[task] | {name for name in shut if name in self._clients and self._clients[name].connected}

    def sids(self, clients: Iterable[str], since: int = 1, feature: str | None = None) -> list[str]:
        """Return the sessions of those clients that are connected, speak at least this version of the contract and know a feature."""
        found = (self._clients.get(name) for name in clients)
        there = ((client.sid, client) for client in found if client and client.sid and client.protocol >= since)
        return [sid for sid, client in there if feature is None or feature in client.features]

    def by_features(self, clients: Iterable[str]) -> dict[tuple[str, ...], list[str]]:
        """Return the sessions of those clients that are connected, by what they can do: each of these is spoken to in its own way."""
        found: dict[tuple[str, ...], list[str]] = {}
        for client in map(self._clients.get, clients):
            if client and client.sid:
                found.setdefault(client.features, []).append(client.sid)
        return found

    def absent(self) -> list[str]:
        """Return the ids of clients that were here and are not."""
        return sorted(client.id for client in self._clients.values() if not client.connected)

    def __len__(self) -> int:
        return len(self._by_sid)

    def strangers(self, names: Iterable[str]) -> list[str]:
        """Return those of these ids that were never seen, in the order given."""
        return [name for name in names if name not in self._clients]

    def presence(self) -> dict[str, tuple[bool, float]]:
        """Return for every client whether it is connected, and when it was last seen."""
        return {name: (client.connected, client.last_seen) for name, client in self._clients.items()}

    def _outside(self, client: Client, task: str) -> bool:
        return task in self._tasks and plausibility.outside(client.groups, self._tasks[task]) is not None

    def complaints(self, task: str, parts: Mapping[str, Part], release: str) -> dict[str, list[Complaint]]:
        """Return what is wrong with each client that needs somebody, by id.

        Parameters
        ----------
        task
            Whose rounds and channels are meant.
        parts
            Clients' parts in its newest rounds.
        release
            This server's version.
        """
        now, drifts = self.clock.time(), self.drifts(task)
        found = {}
        for name, client in self._clients.items():
            drift = drifts[name].told(task) if name in drifts else None
            wrong = attention.complaints(client, parts.get(name), task, now, release, self.namesakes.since(name, now), drift)
            if wrong:
                found[name] = wrong
        return found

    def clients(self) -> list[Client]:
        """Return everybody who is known."""
        return list(self._clients.values())

    def to_json(self, training: Iterable[str], task: str | None = None, names: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
        """Return what HTTP shows of every client, by id: of a task, and of the first where none is named.

        Parameters
        ----------
        training
            Who is at work for the open round.
        names
            Of whom; of everybody if None.
        """
        busy, now = set(training), self.clock.time()
        task = task or next(iter(self._tasks), "")
        drifts = self.drifts(task)
        return {
            name: shown(
                client,
                task,
                name in busy,
                self.namesakes.since(name, now),
                self._outside(client, task),
                drifts[name].told(task) if name in drifts else None,
            )
            for name, client in sorted(self._clients.items())
            if names is None or name in names
        }
