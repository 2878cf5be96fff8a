"""Ports that a test keeps for what goes away and comes back."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def kept() -> int:
    """Return a free port of this machine that the kernel gives to nobody.

    One that it gave (port 0) goes, once it is let go, to whoever connects or listens next, a test beside this one for instance.
    """
    first = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32768
    chance = random.SystemRandom()  # what tests seed is the same in each of their processes
    while True:
        port = chance.randrange(first // 2, first)
        with socket.socket() as end:
            try:
                end.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
