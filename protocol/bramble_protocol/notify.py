"""Tell systemd how this process is: ready, alive, stopping; and where it says that the clock is right. Without systemd nothing happens.

The protocol is a datagram of ``KEY=value`` lines to the socket that ``NOTIFY_SOCKET`` names; see ``sd_notify(3)`` and
``sd_watchdog_enabled(3)``.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

TIMESYNCD = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd makes this file once it has set the clock; anybody may look for it (systemd-timesyncd.service(8))."""


def notify(**states: str | int) -> bool:
    """Send states to systemd, for instance ``notify(READY=1, STATUS="listening")``.

    A line break in a value would end it, so it becomes a space.

    Returns
    -------
    bool
        Whether there is a systemd that was told. A service never fails because it could not say how it is.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    message = "\n".join(f"{key}={' '.join(str(value).splitlines())}" for key, value in states.items())
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect("\0" + address[1:] if address[0] == "@" else address)
        channel.sendall(message.encode())
        return True
    return False


def watchdog_interval() -> float | None:
    """Return how often to call ``notify(WATCHDOG=1)``, in seconds: a third of systemd's limit. None if it does not watch this process."""
    try:
        limit = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
        watched = int(os.environ.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return limit / 3 if limit > 0 and watched == os.getpid() else None
