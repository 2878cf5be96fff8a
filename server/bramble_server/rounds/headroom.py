"""How much memory this process may still take: the machine's, or less where systemd or a container bounds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bramble_protocol.errors import BrambleError
from bramble_server.learning.strategies import Strategy

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def check(strategy: Strategy, clients: int, size: int, beside: int = 0) -> None:
    """See that a round of so many clients fits, where what it takes grows with them.

    Parameters
    ----------
    beside
        Models that are encoded for clients beside the one that they train: the champion.

    Raises
    ------
    BrambleError
        If it does not.
    """
    if strategy.streams:
        return
    needed, free = strategy.memory(clients, size) + 4 * size * beside, min([_machine(), *_groups()])
    if needed > free:
        raise BrambleError(
            f"{type(strategy).__name__}: a round of {clients} clients and a model of {size} parameters takes {_shown(needed)}, and "
            f"{_shown(free)} of memory are free; give the server more, or it a strategy that streams"
        )


def _machine() -> float:
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return float("inf")


def _groups() -> Iterator[float]:
    """Yield what is left to each group of processes that this one is in; what they hold of files can be had back."""
    try:
        own = next(line[3:] for line in (PROC / "self/cgroup").read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return
    inner = GROUPS / own.strip("/")
    for group in (inner, *inner.parents):
        if GROUPS not in (group, *group.parents):
            return
        try:
            limit, used = (group / "memory.max").read_text().strip(), int((group / "memory.current").read_text())
            held = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            if limit != "max":
                yield int(limit) - used + int(held["inactive_file"]) + int(held["active_file"])
        except (OSError, ValueError, KeyError):  # the outermost has no limit, and a container may not see those outside
            continue


def _shown(count: float) -> str:
    return f"{max(0, count) / 1e6:,.1f} MB"
