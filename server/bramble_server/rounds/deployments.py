"""Taking a task in while the server runs, and letting it go."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bramble_server.foundation import Foundation
from bramble_server.rounds import recovery
from bramble_server.rounds.shared import Shared
from bramble_server.rounds.track import Track
from bramble_server.rounds.tracks import Tracks
from bramble_server.rounds.writer import RefusedError
from bramble_server.store import StoreError

log = logging.getLogger(__name__)


class Deployments:
    """Changes which tasks are learnt. Its methods are jobs of the writer."""

    def __init__(self, tracks: Tracks, shared: Shared) -> None:
        self._tracks, self._shared = tracks, shared

    def deploy(self, foundation: Foundation, keep: Callable[[], None]) -> int:
        """Learn another task from here on; return the round of its model, 0 unless it was learnt here before.

        Parameters
        ----------
        keep
            Puts the task where a next process finds it. If it fails nothing is learnt.

        Raises
        ------
        RefusedError
            If a task of that name is learnt, or was and its models mean something else.
        """
        task, shared = foundation.task, self._shared
        if task in self._tracks:
            raise RefusedError("taken", f"task: {task} is served here already; retire it first, or give yours another name")
        shared.metrics.add(task, foundation.graph.manifest.metric)
        shared.registry.add(task, foundation.needs)
        try:
            track = Track(foundation, shared)
            left = shared.loop.offload(self._recovered, track)
            shared.loop.offload(keep)
        except BaseException:
            shared.registry.remove(task)
            shared.metrics.remove(task)
            raise
        self._tracks.add(track)
        track.resume(left)
        shared.changed()
        log.info("task %s was deployed: graph %s, %d clients can train it", task, track.graph.sha256[:12], shared.registry.ready(task))
        return track.model.round

    def _recovered(self, track: Track) -> recovery.Left:
        with self._shared.store.writing() as connection:
            try:
                return track.recover(connection)
            except StoreError as error:  # raised in here it is about the task's history; the database's own come from outside
                raise RefusedError("taken", str(error)) from error

    def retire(self, task: str, forget: Callable[[], None]) -> None:
        """Learn a deployed task no longer; its history stays, and goes on if it is deployed again.

        Parameters
        ----------
        forget
            Undoes what kept it for a next process.

        Raises
        ------
        RefusedError
            If no such task is learnt, or it is one of the server's settings.
        """
        track, shared = self._tracks.named(task), self._shared
        if not track.foundation.deployed:
            raise RefusedError("given", f"task: {task} is one of the server's settings (--task); take it out there, and start it anew")
        shared.loop.offload(forget)
        track.end_unused("its task was retired")
        self._tracks.remove(task)
        shared.registry.remove(task)
        shared.metrics.remove(task)
        shared.changed()
        told = shared.downlink.reset(task=task)
        log.info("task %s was retired: %d clients were told", task, told)
