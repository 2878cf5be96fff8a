"""What who comes over HTTP may do: the scopes of tokens, and of who logs in to the inspector."""

from __future__ import annotations

from collections.abc import Iterable

SCOPES: dict[str, tuple[str, ...]] = {
    "metrics": ("metrics",),
    "read": ("metrics", "read"),
    "operate": ("metrics", "read", "operate"),
    "admin": ("metrics", "read", "operate", "admin"),
}
"""Scope -> what it opens: ``/metrics`` alone; what only reads; what starts something; what takes something away."""


def opens(scopes: Iterable[str]) -> frozenset[str]:
    """Return all that these scopes open."""
    return frozenset(name for scope in scopes for name in SCOPES[scope])
