"""Which release of Bramble is installed."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version


@lru_cache
def release() -> str:
    """Return the version of what is installed."""
    try:
        return version("bramble-fl")
    except PackageNotFoundError:
        return "unknown"
