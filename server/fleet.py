"""Who is connected, on what terms."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from protocol.health import Health
from protocol.messages import Channel, Handshake
from server.tokens import hash_of

REMEMBERED = 10_000
"""Clients that are gone and still listed; beyond that the one gone longest is forgotten."""


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
    protocol: int = 1
    """Version of the contract that it speaks: 1 is sent exactly the fields of that version."""
    features: tuple[str, ...] = ()
    instance: str = field(default="", repr=False)
    """Which process it is; empty where a client of version 1 does not tell."""

    @property
    def connected(self) -> bool:
        """Whether it is there now."""
        return self.sid is not None


class Fleet:
    """The clients by id. Changed by the connection handlers and read by everybody, always in one piece."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._by_sid: dict[str, str] = {}

    def join(self, hello: Handshake, sid: str, address: str) -> str | None:
        """Take a connection in; return the session of an older connection of the same client, which it replaces."""
        now, former = time.time(), self._clients.pop(hello.client_id, None)
        last_cycle = former.last_cycle if former else None
        client = Client(
            hello.client_id, sid, address, hello.simulated, hello.version, hello.channels, now, now, last_cycle, hash_of(hello.token or ""),
            protocol=hello.protocol, features=hello.features, instance=hello.instance,
        )  # fmt: skip
        self._clients[client.id] = client
        self._by_sid[sid] = client.id
        if former and former.sid:
            del self._by_sid[former.sid]
        return former.sid if former else None

    def leave(self, sid: str) -> str | None:
        """Note that a connection ended; return the client that is gone with it, if no newer connection has replaced it."""
        name = self._by_sid.pop(sid, None)
        if name is None:
            return None
        # Moved to the end of the dictionary: the order of departure is the order of forgetting.
        self._clients[name] = replace(self._clients.pop(name), sid=None, since=time.time())
        gone = [client.id for client in self._clients.values() if not client.connected]
        for forgotten in gone[: max(0, len(gone) - REMEMBERED)]:
            del self._clients[forgotten]
        return name

    def seen(self, sid: str, cycle: int | None = None) -> Client | None:
        """Note a message, perhaps with readings of a cycle; return who sent it, or ``None`` for a session that is not in the fleet."""
        name = self._by_sid.get(sid)
        if name is None:
            return None
        client = self._clients[name]
        client = replace(client, last_seen=time.time(), last_cycle=client.last_cycle if cycle is None else cycle)
        self._clients[name] = client
        return client

    def report(self, client: str, health: Health) -> None:
        """Note what a client says of itself and its machine."""
        self._clients[client] = replace(self._clients[client], health=health, health_at=time.time())

    def health(self) -> dict[str, dict[str, Any]]:
        """Return the last report of each connected client that has sent one, by id."""
        return {name: report for name, client in self._clients.items() if client.connected and (report := _told(client)) is not None}

    def get(self, client: str) -> Client | None:
        """Return a client by its id."""
        return self._clients.get(client)

    def name(self, sid: str) -> str | None:
        """Return the id of the client with this session."""
        return self._by_sid.get(sid)

    def connected(self) -> list[str]:
        """Return the ids of all connected clients, in order."""
        return sorted(self._by_sid.values())

    def sids(self, clients: Iterable[str], since: int = 1) -> list[str]:
        """Return the sessions of those clients that are connected and speak at least this version of the contract."""
        found = (self._clients.get(name) for name in clients)
        return [client.sid for client in found if client and client.sid and client.protocol >= since]

    def absent(self) -> list[str]:
        """Return the ids of clients that were here and are not."""
        return sorted(client.id for client in self._clients.values() if not client.connected)

    def __len__(self) -> int:
        return len(self._by_sid)

    def to_json(self, training: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return what HTTP shows of every client, by id; ``training`` says who is at work for the open round."""
        busy = set(training)
        return {
            name: {
                "connected": client.connected,
                "simulated": client.simulated,
                "version": client.version,
                "protocol": client.protocol,
                "channels": [{"key": channel.key, "unit": channel.unit} for channel in client.channels],
                "since": client.since,
                "last_seen": client.last_seen,
                "last_cycle": client.last_cycle,
                "training": name in busy,
                "health": _told(client),
                "health_at": client.health_at,
            }
            for name, client in sorted(self._clients.items())
        }


def _told(client: Client) -> dict[str, Any] | None:
    """Return a report as HTTP shows it, with the client's clock as an offset from this one: positive when it runs ahead."""
    if client.health is None or client.health_at is None:
        return None
    told = client.health.to_wire()
    told["clock_offset"] = round(told.pop("sent") - client.health_at, 3)
    return told
