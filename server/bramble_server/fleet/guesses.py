"""Wrong tokens of one address, or for one client, are looked at ever more slowly; who had a right one there before is not kept waiting."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from bramble_protocol.addresses import owner
from bramble_protocol.clock import Clock
from bramble_protocol.errors import BrambleError
from bramble_protocol.throttle import REMEMBERED, Throttle

T = TypeVar("T")

BURST, PAUSE_S = 30, 10.0
"""Wrong tokens that are looked at at once, of an address as of a client's name, and seconds after which one more is."""
SAID_AGAIN_S = 3600.0
"""Seconds after which it is said once more of the same address."""


class ThrottledError(BrambleError):
    """A token is not looked at.

    Parameters
    ----------
    seconds
        After which it may be tried again.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"token: too many wrong ones came, so this one was not looked at; try again in {seconds} s")
        self.seconds = seconds


class Guesses:
    """Counts wrong tokens by address and by client.

    The same wrong token again is no guess and does not count: a client whose token was taken away tries for as long as it runs, and its
    neighbours come from the same address. Of a client's name alone nobody is kept waiting who guessed nothing: else whoever guesses could
    lock the client out.
    """

    def __init__(self, clock: Clock = time) -> None:
        self._addresses, self._names = (Throttle(BURST, PAUSE_S, clock) for _ in range(2))
        self._said = Throttle(1, SAID_AGAIN_S, clock)
        self._right, self._wrong = _Latest(), _Latest()
        self.say: Callable[[str, str], None] = lambda address, sentence: None
        """Told, now and then, from which address too many came."""

    def look(self, address: str, token: str, right: Callable[[], T], name: str = "") -> T:
        """Return what a look at a token says, which is false for a wrong one.

        Parameters
        ----------
        token
            It, or its hash.
        right
            Looks.
        name
            The client whose token it is said to be, if any is.

        Raises
        ------
        ThrottledError
            If it is not looked at.
        """
        home = owner(address)
        new = (home, token) not in self._right and (home, name, token) not in self._wrong
        if new and (wait := self._wait(home, name)):
            if not self._said.take(home):
                self.say(address, f"{BURST} wrong tokens came from there: others are looked at one every {PAUSE_S:g} s")
            raise ThrottledError(math.ceil(wait))
        found = right()
        if found:
            self._right.add((home, token))
        elif new:
            self._wrong.add((home, name, token))
            self._addresses.take(home)
            if name:
                self._names.take(name)
        return found

    def _wait(self, home: str, name: str) -> float:
        if not self._addresses.debt(home):
            return 0.0
        return max(self._addresses.wait(home), self._names.wait(name) if name else 0.0)


class _Latest:
    """The newest of what was added."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, ...], None] = OrderedDict()

    def __contains__(self, item: tuple[str, ...]) -> bool:
        return item in self._known

    def add(self, item: tuple[str, ...]) -> None:
        self._known[item] = None
        self._known.move_to_end(item)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
