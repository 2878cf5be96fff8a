"""Ports that a test keeps for what goes away and comes back."""

from __future__ import annotations

import atexit
import random
import socket
from collections import deque
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_MOST = 32
"""Ports that a process keeps at a time: more than one test takes."""
_kept: deque[socket.socket] = deque()
atexit.register(lambda: [name.close() for name in _kept])


def kept() -> int:
    """Return a free port of this machine that the kernel gives to nobody, and no test beside this one.

    One that it gave (port 0) goes, once it is let go, to whoever connects or listens next. One that was chosen is free until whoever is
    to listen there does, so it is kept from others who choose by a name that goes with this process.
    """
    first = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32768
    chance = random.SystemRandom()  # what tests seed is the same in each of their processes
    while True:
        port = chance.randrange(first // 2, first)
        name = socket.socket(socket.AF_UNIX)
        with socket.socket() as end:
            try:
                end.bind(("127.0.0.1", port))
                name.bind(f"\0a port of Bramble's tests: {port}")
            except OSError:
                name.close()
                continue
        _kept.append(name)
        if len(_kept) > _MOST:
            _kept.popleft().close()
        return port
