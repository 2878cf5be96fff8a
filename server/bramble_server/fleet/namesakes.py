"""Two clients with one id, as when a card was copied: told from one client that came back. Pure: it is told the time.

A client is known by its mark: the ``instance`` of its handshake, or, for a client of version 1 that has none, its address. Two have one
name where two marks are alive at once: the one that was there comes again after another took its place, or goes on speaking
while another is refused.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

QUIET = 900.0
"""Seconds without a sign of the other after which a name is one client's again."""
TURNS, TURNS_WITHIN = 4, 300.0
"""Clients of version 1 behind one address have one mark. So many times in so many seconds one connection takes another's place only
if they are two: a single one whose network fails needs longer to notice, each time."""
MOST = 1000
"""Names that are watched; beyond that the one that was quiet longest is let go."""
_MARKS = 8


@dataclass
class _Watch:
    others: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """Mark that was thrown out or refused -> when."""
    turns: deque[float] = field(default_factory=lambda: deque(maxlen=TURNS))
    latest: float = 0.0
    since: float | None = None


class Namesakes:
    """Who shares a name with whom, as far as their coming and going shows."""

    def __init__(self) -> None:
        self._watched: OrderedDict[str, _Watch] = OrderedDict()

    def replaces(self, name: str, newcomer: str, holder: str, told: bool, now: float) -> bool:
        """Note that a connection takes the place of a live one; return whether this shows two clients for the first time.

        Parameters
        ----------
        newcomer, holder
            The marks of both.
        told
            Whether the newcomer's mark is an instance, and so that of one process.
        """
        if newcomer == holder and told:
            return False  # one process, whose former connection is not known to be dead
        watch = self._watch(name, now)
        if newcomer == holder:
            watch.turns.append(now)
            two = len(watch.turns) == TURNS and now - watch.turns[0] <= TURNS_WITHIN
        else:
            two = newcomer in watch.others
            self._note(watch, holder, now)
        return two and self._found(watch, now)

    def refused(self, name: str, newcomer: str, holder_seen: float, now: float) -> bool:
        """Note that a connection was refused because another client holds the name; return as ``replaces``.

        Parameters
        ----------
        holder_seen
            When the holder last said something. If that is after the newcomer's first attempt, both are alive.
        """
        watch = self._watch(name, now)
        first = watch.others.setdefault(newcomer, now)
        self._note(watch, newcomer, first)
        return holder_seen > first and self._found(watch, now)

    def since(self, name: str, now: float) -> float | None:
        """Return since when two clients are known to have a name, or None."""
        watch = self._watched.get(name)
        return None if watch is None or now - watch.latest > QUIET else watch.since

    def _watch(self, name: str, now: float) -> _Watch:
        watch = self._watched.pop(name, None)
        if watch is None or now - watch.latest > QUIET:
            watch = _Watch()
        watch.latest = now
        self._watched[name] = watch
        while len(self._watched) > MOST:
            self._watched.popitem(last=False)
        return watch

    @staticmethod
    def _note(watch: _Watch, mark: str, when: float) -> None:
        watch.others[mark] = when
        while len(watch.others) > _MARKS:
            watch.others.popitem(last=False)

    @staticmethod
    def _found(watch: _Watch, now: float) -> bool:
        first, watch.since = watch.since is None, watch.since or now
        return first
