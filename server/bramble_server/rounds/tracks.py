"""The tracks of a server, by task: those of its settings, and those that are deployed to it and retired while it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator

from bramble_protocol.graph import Manifest
from bramble_server.foundation import Foundation
from bramble_server.rounds.track import Track
from bramble_server.rounds.view import Progress
from bramble_server.rounds.writer import RefusedError

log = logging.getLogger(__name__)


class Tracks:
    """The first is the one that is meant where none is named; it is never removed.

    Only the writer changes them, always in one piece: whoever looks from elsewhere sees them before or after.
    """

    def __init__(self, tracks: Iterable[Track]) -> None:
        self._by_task = {track.task: track for track in tracks}
        self.first = next(iter(self._by_task.values()))
        self.several = len(self._by_task) > 1
        """Whether there are, or were, more than one: then a number alone does not say whose round it is."""

    def __iter__(self) -> Iterator[Track]:
        return iter(self._by_task.values())

    def __contains__(self, task: str) -> bool:
        return task in self._by_task

    @property
    def foundations(self) -> tuple[Foundation, ...]:
        """What each is built on."""
        return tuple(track.foundation for track in self)

    @property
    def views(self) -> dict[str, Progress]:
        """What others may see of each."""
        return {task: track.view for task, track in self._by_task.items()}

    def add(self, track: Track) -> None:
        """Take one in, behind the others."""
        self._by_task, self.several = {**self._by_task, track.task: track}, True

    def remove(self, task: str) -> None:
        """Let one go."""
        self._by_task = {name: track for name, track in self._by_task.items() if name != task}

    def named(self, task: str | None) -> Track:
        """Return the track of a task.

        Raises
        ------
        RefusedError
            If there is none, or none any more.
        """
        if task is None:
            return self.first
        if task not in self._by_task:
            raise RefusedError("unknown task", f"task: {task} is not served here any more")
        return self._by_task[task]

    def of(self, number: int) -> Track:
        """Return the track that a round is of; the first, if no one knows it."""
        return next((track for track in self if track.knows(number)), self.first)

    def manifest(self, number: int, last: int) -> Manifest:
        """Return the manifest of what clients answer in a round: that of its task, and of the first for a round that never was.

        Raises
        ------
        RefusedError
            If it is over for so long that nobody knows which of several tasks it was of; ``last`` is the highest number in use.
        """
        track = self.of(number)
        if self.several and 0 < number <= last and not track.knows(number):
            raise RefusedError("round over", "round over")
        return track.graph.manifest

    def drifted(self, client: str, tasks: Collection[str]) -> None:
        """Have a round start of those of the tasks whose policy it is, for their error has risen at a client's site."""
        for track in self:
            if track.task in tasks and track.settings.on_drift == "round":
                log.info("%s: the error of %s has risen there: a round follows", client, track.task)
                track.schedule.hasten()

    def each(self, work: Callable[[Track], None]) -> None:
        """Do something with every track, also after it failed with one; then raise what that was."""
        failed: list[Exception] = []
        for track in self:
            try:
                work(track)
            except Exception as error:
                if failed:
                    log.exception("task %s failed, too", track.task)
                failed.append(error)
        if failed:
            raise failed[0]
