"""The one kind of thread that a client's parts have: begun once, ended within so many seconds, and seen when it has ended by itself."""

from __future__ import annotations

import threading


class Worker:
    """A part of a client that does its work in a thread of its own.

    A subclass must override ``run``, and ``wake`` if ``run`` waits for anything but ``_stopping``.

    Parameters
    ----------
    name
        What the part is called, in logs too.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name=name, daemon=True)

    def run(self) -> None:
        """Work until ``_stopping`` is set."""
        raise NotImplementedError

    def wake(self) -> None:
        """Have ``run`` look at once whether there is something to do, or to end for; does not block."""

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """End; return whether the thread has ended within so many seconds. One that never began has."""
        self._stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether its thread runs; a subclass that hands work to another thread may ask that of it, too."""
        return self._thread.is_alive()
