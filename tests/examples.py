"""How many examples a property is tried on."""

from __future__ import annotations

from hypothesis import settings


def examples(most: int) -> int:
    """Return so many for ``make test``, which tries 100 where nothing is said, and as many fewer for ``make fast``."""
    return max(1, most * settings().max_examples // 100)
