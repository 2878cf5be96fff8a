"""Which graphs Bramble itself has released: those of its built-in tasks, by their fingerprints."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).with_name("released.txt")


@lru_cache
def fingerprints() -> frozenset[str]:
    """Return them; see :attr:`bramble_protocol.graph.GraphFile.fingerprint`."""
    return frozenset(line.split()[0] for line in FILE.read_text("utf-8").splitlines() if line and not line.startswith("#"))


def add(fingerprint: str, remark: str) -> bool:
    """Note a graph that is about to be released; return whether it is new. None is ever taken out: there are fleets that train it."""
    if fingerprint in fingerprints():
        return False
    with FILE.open("a", encoding="utf-8") as file:
        file.write(f"{fingerprint}  {remark}\n")
    fingerprints.cache_clear()
    return True
