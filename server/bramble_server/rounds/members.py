"""A set of names that is never changed: what differs by one name is another set, and costs next to nothing however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set

BITS = 5
WIDTH = 1 << BITS
"""Branches of a node."""
FULL = 16
"""Names in a leaf beyond which it is split."""
DEEPEST = 55 // BITS
"""Levels of branches; names with the same hash share a leaf below them, however many they are."""

_Node = frozenset[str] | tuple["_Node", ...]
_EMPTY: frozenset[str] = frozenset()


class Members(Set[str]):
    """A persistent set, as a tree whose branches are chosen by the bits of a name's hash (Bagwell 2001, "Ideal Hash Trees").

    Sets that differ by one name share all nodes but those on its way.
    """

    __slots__ = ("_root", "_size")

    def __init__(self, names: Iterable[str] = ()) -> None:
        whole = frozenset(names)
        self._root, self._size = _made(whole, 0), len(whole)

    def __contains__(self, name: object) -> bool:
        node, rest = self._root, hash(name)
        while isinstance(node, tuple):
            node, rest = node[rest % WIDTH], rest >> BITS
        return name in node

    def __iter__(self) -> Iterator[str]:
        waiting: list[_Node] = [self._root]
        while waiting:
            node = waiting.pop()
            if isinstance(node, tuple):
                waiting += node
            else:
                yield from node

    def __len__(self) -> int:
        return self._size

    __hash__ = Set._hash

    def __repr__(self) -> str:
        return f"Members({sorted(self)})"

    def including(self, name: str) -> Members:
        """Return the set with this name, too."""
        return self if name in self else self._other(_changed(self._root, name, hash(name), 0, True), 1)

    def excluding(self, name: str) -> Members:
        """Return the set without this name."""
        return self._other(_changed(self._root, name, hash(name), 0, False), -1) if name in self else self

    def _other(self, root: _Node, more: int) -> Members:
        other = Members.__new__(Members)
        other._root, other._size = root, self._size + more
        return other


def _made(names: frozenset[str], level: int) -> _Node:
    if len(names) <= FULL or level == DEEPEST:
        return names
    branches: list[list[str]] = [[] for _ in range(WIDTH)]
    for name in names:
        branches[(hash(name) >> BITS * level) % WIDTH].append(name)
    return tuple(_made(frozenset(branch) if branch else _EMPTY, level + 1) for branch in branches)


def _changed(node: _Node, name: str, rest: int, level: int, there: bool) -> _Node:
    if isinstance(node, frozenset):
        return _made(node | {name}, level) if there else node - {name}
    branch = rest % WIDTH
    return (*node[:branch], _changed(node[branch], name, rest >> BITS, level + 1, there), *node[branch + 1 :])
