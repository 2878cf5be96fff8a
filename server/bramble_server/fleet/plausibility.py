"""Checks of well-formed messages against what is plausible here. Form itself is the protocol's business."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from bramble_protocol import groups
from bramble_protocol.errors import ProtocolError
from bramble_protocol.graph import Manifest
from bramble_protocol.kinds import Counts, counted
from bramble_protocol.messages import MAX_SAMPLES, Channel, DataUpdate, forecast_of, next_of
from bramble_protocol.printable import printable

if TYPE_CHECKING:
    from bramble_server.fleet.registry import Client

HUGE = 1e12
"""A metric beyond this is no measurement; sums of such would not be finite either."""


def metrics(told: Mapping[str, float]) -> None:
    """Refuse metrics that would spoil a round's record or outweigh everybody else's.

    Raises
    ------
    ProtocolError
        Naming the metric.
    """
    for name, value in told.items():
        if abs(value) > HUGE:
            raise ProtocolError(f"metrics.{printable(name)}: {value:g} is not a measurement")
    if not 0 <= told.get("test_samples", 0) <= MAX_SAMPLES:
        raise ProtocolError(f"metrics.test_samples: expected a number from 0 to {MAX_SAMPLES}")


def counts(told: Counts | None, manifest: Manifest) -> None:
    """Refuse counts that are not of this task: their sums over clients would be none.

    Raises
    ------
    ProtocolError
        Naming the vector.
    """
    wanted = counted(manifest)
    for name, vector in (told or {}).items():
        if len(vector) != wanted.get(name):
            raise ProtocolError(f"counts: {printable(name)} of {len(vector)} numbers is nothing that task {manifest.task} has counted")


def channels(client: Client, update: DataUpdate) -> None:
    """Refuse channels that a client did not offer when it connected, and no forecasts of them: the store keeps a series of each, for ever.

    Raises
    ------
    ProtocolError
        Naming the channel.
    """
    offered = {channel.key for channel in client.channels}
    for key in update.channels:
        forecasts = (forecast_of(each, task) for each in offered for task in (None, *client.misfits))
        if key not in offered and not any(key in (name, next_of(name)) for name in forecasts):
            raise ProtocolError(f"channels.{key}: not a channel that {client.id} offered in its handshake")


class Needs(NamedTuple):
    """What a client must have to be asked for rounds of a task."""

    channels: tuple[Channel, ...] = ()
    features: tuple[str, ...] = ()
    well: tuple[str, ...] = ()
    """What must be well with it and its machine, of :data:`bramble_server.fleet.eligibility.KINDS`."""
    groups: Mapping[str, str] = MappingProxyType({})
    """Which groups it must belong to, all of them."""
    optional: tuple[str, ...] = ()
    """Channels that it may lack; what it measures of them it must measure in their unit."""


def outside(belongs: Mapping[str, str], needs: Needs) -> str | None:
    """Return in words which of a task's groups a client does not belong to, or None if it does: nothing is wrong with it then."""
    missing = {key: name for key, name in needs.groups.items() if belongs.get(key) != name}
    return f"is not of {groups.told(missing)}, so it is not asked for rounds of this task" if missing else None


def misfit(
    offered: Iterable[Channel], known: Iterable[str] | None, needs: Needs, belongs: Mapping[str, str] = MappingProxyType({})
) -> str | None:
    """Return in words why a client with these channels, features and groups cannot train a task, or None if it can.

    Parameters
    ----------
    known
        None where it is not there to say.
    """
    if sentence := outside(belongs, needs):
        return sentence
    units = {channel.key: channel.unit for channel in offered}
    missing = [item.key for item in needs.channels if item.key not in units and item.key not in needs.optional]
    other = [
        f"{item.key} in {units[item.key]} instead of {item.unit}" for item in needs.channels if units.get(item.key, item.unit) != item.unit
    ]
    said = [f"{verb} {', '.join(what)}" for verb, what in (("does not measure", missing), ("measures", other)) if what]
    if said:
        return f"{printable(' and '.join(said))}, so it is not asked for rounds of this task"
    lacking = [] if known is None else sorted(set(needs.features) - set(known))
    if lacking:
        return f"does not know {', '.join(lacking)}, which rounds of this task need, so it is not asked for them; upgrade it"
    return None
