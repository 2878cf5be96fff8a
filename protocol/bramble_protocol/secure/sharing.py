"""Shamir's sharing of a secret (Communications of the ACM 22, 1979): any so many shares give it back, and fewer say nothing of it.

Secrets are numbers below the prime 2^255 - 19, the field of Curve25519, so that 32 bytes hold one, as they hold a share.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

PRIME = 2**255 - 19
SIZE = 32
"""Bytes of a secret, and of a share."""


def secret() -> int:
    """Return a new secret."""
    return secrets.randbelow(PRIME)


def as_bytes(number: int) -> bytes:
    """Return a secret or share in 32 bytes, little-endian."""
    return number.to_bytes(SIZE, "little")


def share(number: int, holders: Iterable[int], least: int) -> dict[int, bytes]:
    """Share a secret among holders, of which ``least`` can give it back.

    Parameters
    ----------
    holders
        Places of the holders, above 0: where the polynomial is taken.
    """
    coefficients = [number, *(secrets.randbelow(PRIME) for _ in range(least - 1))]
    return {place: as_bytes(_value(coefficients, place)) for place in holders}


def _value(coefficients: list[int], place: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * place + coefficient) % PRIME
    return value


@lru_cache(256)
def _weights(places: tuple[int, ...], at: int) -> tuple[int, ...]:
    """Return what the values at some places count in the one at another (Lagrange): the same for all secrets with the same holders."""
    weights = []
    for mine in places:
        above = below = 1
        for other in places:
            if other != mine:
                above = above * (at - other) % PRIME
                below = below * (mine - other) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return tuple(weights)


def _at(shares: Mapping[int, int], place: int) -> int:
    """Return the value at a place of the polynomial through these shares."""
    weights = _weights(tuple(shares), place)
    return sum(weight * value for weight, value in zip(weights, shares.values(), strict=True)) % PRIME


def recover(shares: Mapping[int, bytes], least: int, right: Callable[[bytes], bool]) -> tuple[bytes | None, list[int]]:
    """Return the secret, and the places of those whose shares are not of it; None if too few are right.

    Parameters
    ----------
    right
        Says whether a secret is the one that was promised. Where the first shares do not give it, others are tried, in as many
        ways as there are shares: one liar is always found out, and so are several that lie beside each other.
    """
    numbers = {place: int.from_bytes(shares[place], "little") for place in sorted(shares)}
    places = list(numbers)
    if len(places) < least:
        return None, []
    for start in range(len(places) if len(places) > least else 1):
        chosen = {place: numbers[place] for place in (places + places)[start : start + least]}
        found = as_bytes(_at(chosen, 0))
        if right(found):
            return found, [place for place in places if start and place not in chosen and _at(chosen, place) != numbers[place]]
    return None, []
