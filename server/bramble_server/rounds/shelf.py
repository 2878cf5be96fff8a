"""How long clients' updates wait for others before they are put aside, those of one moment together, and what follows that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bramble_server.rounds.track import Track
from bramble_server.rounds.tracks import Tracks

SHORT = 1 << 20
"""Bytes of a model up to which a round's answers come so soon after one another that it is worth to wait for the next."""


class Updates:
    """Those of all tasks, see :class:`bramble_server.rounds.writer.Shelf`.

    Parameters
    ----------
    put
        Writes them down; returns whether all are on the disk.
    """

    def __init__(self, tracks: Tracks, put: Callable[[list[Any]], bool]) -> None:
        self._tracks, self.put = tracks, put

    def awaits(self, count: int) -> bool:
        """Whether open rounds wait for more than so many updates that take little time to come."""
        return sum(track.owing for track in self._tracks if track.model.weights.nbytes <= SHORT) > count

    def foresee(self, count: int) -> None:
        """Have each task choose what follows its round, if so many updates may be its last."""
        self._tracks.each(lambda track: track.foresee(count))

    def secure(self) -> None:
        """Bring onto the disk what came into no commit."""
        self._tracks.each(Track.secure)
