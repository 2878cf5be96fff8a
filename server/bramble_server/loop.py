"""What runs the server's work: told from outside, so that nothing else knows of gevent, and tests use threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Loop(Protocol):
    """Runs what must not wait beside each other; :class:`bramble_server.transport.gevent.engine.GeventLoop` is one."""

    def queue(self) -> Any:
        """Return a queue as in the standard library."""

    def event(self) -> Any:
        """Return an event as in the standard library."""

    def spawn(self, work: Callable[[], None]) -> Any:
        """Run something beside; return what can be joined."""

    def offload(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run something that blocks, while everybody else goes on; return its result or raise its error."""

    def hand_over(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Run something that blocks, after what was offloaded before and ahead of what comes, and do not wait."""

    def rest(self) -> None:
        """Let everybody else who has something to do at this moment do it."""
