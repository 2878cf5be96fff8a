"""Where clients' updates are put, those of one moment together, before anybody hears that they were taken."""

from __future__ import annotations

from bramble_protocol.messages import Delivery
from bramble_server.rounds import machine
from bramble_server.rounds.track import Track
from bramble_server.rounds.tracks import Tracks

SHORT = 1 << 20
"""Bytes of a model up to which a round's answers come so soon after one another that it is worth to wait for the next."""


class Updates:
    """Puts each into the file of the open round that it is for, see :class:`bramble_server.rounds.writer.Shelf`."""

    def __init__(self, tracks: Tracks) -> None:
        self._tracks = tracks

    def awaits(self, count: int) -> bool:
        """Whether open rounds wait for more than so many updates that take little time to come."""
        return sum(track.owing for track in self._tracks if track.model.weights.nbytes <= SHORT) > count

    def foresee(self, count: int) -> None:
        """Have each task choose what follows its round, if so many updates may be its last."""
        self._tracks.each(lambda track: track.foresee(count))

    def put(self, delivered: list[tuple[machine.Update, Delivery]]) -> bool:
        """Write them down; return whether all are on the disk."""
        theirs: dict[Track, list[tuple[machine.Update, Delivery]]] = {}
        for event, delivery in delivered:
            theirs.setdefault(self._tracks.of(event.round), []).append((event, delivery))
        # rounds of several tasks that end together would want the same number for the next
        return all([track.put_aside(its, alone=len(theirs) == 1) for track, its in theirs.items()])

    def secure(self) -> None:
        """Bring onto the disk what came into no commit."""
        self._tracks.each(Track.secure)
