"""What HTTP shows of a client, and of its last report on itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bramble_server.fleet.registry import Client

TWO = "two clients have this name; give each an id of its own"


def shown(client: Client, task: str, training: bool, since: float | None, outside: bool, drift: str | None) -> dict[str, Any]:
    """Return what HTTP shows of a client.

    Parameters
    ----------
    task
        Whose rounds are meant.
    training
        Whether it is at work for the open one.
    since
        Since when two are known to have its id.
    outside
        Whether the task is for a group that it does not belong to.
    drift
        How its error has risen, in words.
    """
    return {
        "connected": client.connected,
        "simulated": client.simulated,
        "version": client.version,
        "protocol": client.protocol,
        "features": list(client.features),
        "channels": [{"key": channel.key, "unit": channel.unit} for channel in client.channels],
        "groups": dict(client.groups),
        "since": client.since,
        "last_seen": client.last_seen,
        "last_cycle": client.last_cycle,
        "training": training,
        "health": reported(client),
        "health_at": client.health_at,
        "fits": client.misfits.get(task) is None,
        "tasks": dict(client.not_asked),
        "namesake_since": since,
        "remarks": [
            *([TWO] if since else []),
            *filter(None, (None if outside else client.not_asked.get(task), client.left_out.get(task), _pace(client), drift)),
        ],
    }


def _pace(client: Client) -> str | None:
    """Return a remark on a client that trains slowly for its own good."""
    slow = client.connected and client.health is not None and client.health.slow
    return "trains at half its pace, for it is hot or throttled" if slow else None


def reported(client: Client) -> dict[str, Any] | None:
    """Return a report as HTTP shows it, with the client's clock as an offset from this one: positive when it runs ahead."""
    if client.health is None or client.health_at is None:
        return None
    told = client.health.to_wire()
    told["clock_offset"] = round(told.pop("sent") - client.health_at, 3)
    return told
