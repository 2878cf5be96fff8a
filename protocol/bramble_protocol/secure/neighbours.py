"""Who shares secrets with whom: everybody with everybody where clients are few, else each with its neighbours on a random ring."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

ALL = 30
"""Clients up to which each one is everybody's neighbour."""
SPREAD = 6
"""Neighbours of one client, over the logarithm to base 2 of how many there are."""


def degree(clients: int) -> int:
    """Return how many neighbours each of so many clients has, an even number where they are many."""
    return clients - 1 if clients <= ALL else min(clients - 1, 2 * (SPREAD * (clients - 1).bit_length() // 2))


def threshold(holders: int) -> int:
    """Return how many of those who hold shares of a secret give it back: more than half, so that no two disjoint groups can."""
    return holders // 2 + 1


def ring(keys: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
    """Return each client's neighbours, in the order of their names.

    Bell et al. 2020, section 3: a Harary graph over clients in random order. The order follows from the keys of all of them, so that
    whoever knows these knows the graph, and nobody chooses it.
    """
    count, seed = degree(len(keys)), digest(keys.items())
    order = sorted(keys, key=lambda client: hashlib.sha256(seed + client.encode()).digest())
    half = range(1, count // 2 + 1)
    if count == len(keys) - 1:
        return {client: tuple(sorted(keys.keys() - {client})) for client in keys}
    size = len(order)
    return {
        client: tuple(sorted({order[(place + way * far) % size] for far in half for way in (-1, 1)})) for place, client in enumerate(order)
    }


def digest(items: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the SHA-256 of clients and what belongs to each, in the order of their names."""
    known = hashlib.sha256()
    for client, data in sorted(items):
        known.update(len(client).to_bytes(1, "little") + client.encode() + len(data).to_bytes(2, "little") + data)
    return known.digest()
