"""Checks of well-formed messages against what is plausible here. Form itself is the protocol's business."""

from __future__ import annotations

from protocol.errors import ProtocolError
from protocol.messages import MAX_SAMPLES, DataUpdate, TrainingComplete
from protocol.printable import printable
from server.fleet import Client

HUGE = 1e12
"""A metric beyond this is no measurement; sums of such would not be finite either."""
FORECAST = ".forecast"


def metrics(complete: TrainingComplete) -> None:
    """Refuse metrics that would spoil a round's record or outweigh everybody else's.

    Raises
    ------
    ProtocolError
        Naming the metric.
    """
    for name, value in complete.metrics.items():
        if abs(value) > HUGE:
            raise ProtocolError(f"metrics.{printable(name)}: {value:g} is not a measurement")
    if not 0 <= complete.metrics.get("test_samples", 0) <= MAX_SAMPLES:
        raise ProtocolError(f"metrics.test_samples: expected a number from 0 to {MAX_SAMPLES}")


def channels(client: Client, update: DataUpdate) -> None:
    """Refuse channels that a client did not offer when it connected: the store keeps a series for each, for ever.

    Raises
    ------
    ProtocolError
        Naming the channel.
    """
    offered = {channel.key for channel in client.channels}
    for key in update.channels:
        if key.removesuffix(FORECAST) not in offered:
            raise ProtocolError(f"channels.{key}: not a channel that {client.id} offered in its handshake")
