"""A set of names that is never changed: what differs by one name is another set, and costs next to nothing however many there are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Set


class _History:
    """What sets that came of each other share: for each name the versions with which it came or went, in turns."""

    __slots__ = ("latest", "turns")

    def __init__(self, names: Iterable[str]) -> None:
        self.latest = 0
        self.turns: dict[str, tuple[int, ...]] = dict.fromkeys(names, (0,))


class Members(Set[str]):
    """A persistent set: sets that differ by one name share all but that name's history (Driscoll et al. 1989, "fat nodes").

    To change the latest costs the same however many names there are; to change one that was changed before copies it.
    """

    __slots__ = ("_history", "_size", "_version")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._history = _History(names)
        self._size, self._version = len(self._history.turns), 0

    def __contains__(self, name: object) -> bool:
        return self._has(self._history.turns.get(name, ()))  # type: ignore[call-overload]

    def __iter__(self) -> Iterator[str]:
        # A copy in one step: another thread may add names meanwhile.
        return (name for name, turns in list(self._history.turns.items()) if self._has(turns))

    def __len__(self) -> int:
        return self._size

    __hash__ = Set._hash

    def __repr__(self) -> str:
        return f"Members({sorted(self)})"

    def including(self, name: str) -> Members:
        """Return the set with this name, too."""
        return self if name in self else self._turned(name, 1)

    def excluding(self, name: str) -> Members:
        """Return the set without this name."""
        return self._turned(name, -1) if name in self else self

    def _has(self, turns: tuple[int, ...]) -> bool:
        return bisect_right(turns, self._version) % 2 == 1

    def _turned(self, name: str, more: int) -> Members:
        history = self._history if self._version == self._history.latest else _History(self)
        history.latest += 1
        history.turns[name] = (*history.turns.get(name, ()), history.latest)
        other = Members.__new__(Members)
        other._history, other._version, other._size = history, history.latest, self._size + more
        return other
