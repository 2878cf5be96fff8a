"""Who is connected at all, and how many may be: the server keeps files to accept and to commit with, whoever comes.

A connection is a stranger until its client has shaken hands. Strangers are few and pass quickly; when there are too many,
the one that was quiet longest has to go. So who opens a thousand connections and says nothing loses them, and who comes
now, wants something and says what is served.
"""

from __future__ import annotations

import resource
from collections import OrderedDict
from collections.abc import Callable
from itertools import count

from bramble_protocol.addresses import owner
from bramble_server.transport.shares import CLIENT, STRANGER, Bucket, Share

MOST = 10_000
"""Connections at once where files allow it."""
RESERVE = 160
"""Files that are kept for the store, the files of rounds and whatever else the server opens itself."""
FEWEST = 16
"""Connections that are allowed however few files there are."""
STRANGERS, FEWEST_STRANGERS = 4, 8
"""One in so many connections of an address may be a stranger, and so many in any case."""
REMEMBERED = 1000
"""Addresses without a connection whose shares are remembered, so that to come back is not to begin anew."""


def files() -> int:
    """Allow this process as many open files as the system does; return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError):  # a system that promises more than it gives
            pass
    return MOST + RESERVE if soft == resource.RLIM_INFINITY else soft


def fitting(wanted: int | None) -> int:
    """Return how many connections there may be at once: what was wanted, or the most, as far as open files go."""
    return max(FEWEST, min(wanted or MOST, files() - RESERVE))


class _Address:
    """What is open from one address."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.open = 0
        self.strangers: OrderedDict[int, Connection] = OrderedDict()
        self.before, self.after = Bucket(STRANGER.address), Bucket(CLIENT.address)


class Connection:
    """One open connection: its share of the loop, and whether it is a stranger's."""

    def __init__(self, table: Connections, number: int, address: _Address, hang_up: Callable[[], None], share: Share) -> None:
        self._table, self.number, self.address, self.hang_up, self._share = table, number, address, hang_up, share
        self.take, self.rest = share.take, share.rest

    def stirs(self) -> None:
        """Note that a request begins: of the strangers this one is now the least quiet."""
        for strangers in (self.address.strangers, self._table.strangers):
            if self.number in strangers:
                strangers.move_to_end(self.number)

    def admit(self) -> None:
        """Note that its client has shaken hands: it is no stranger any more."""
        self._table.forget(self)
        self._share.own, self._share.address = Bucket(CLIENT.connection), self.address.after

    def leave(self) -> None:
        """Note that it is closed."""
        self._table.forget(self)
        self._table.left(self)


class Connections:
    """All open connections.

    Parameters
    ----------
    most
        How many there may be at once.
    per_address
        How many of one address, of which one in four may be strangers.
    sleep
        See :class:`bramble_server.transport.shares.Share`.
    """

    def __init__(self, most: int, per_address: int, sleep: Callable[[float], object]) -> None:
        self.most, self.per_address = most, min(per_address, most)
        self.strangers: OrderedDict[int, Connection] = OrderedDict()
        self._most_strangers = max(FEWEST_STRANGERS, self.per_address // STRANGERS)
        self._sleep = sleep
        self._numbers = count()
        self._open: dict[int, Connection] = {}
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._idle: OrderedDict[str, _Address] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, address: str, hang_up: Callable[[], None]) -> Connection | None:
        """Take a connection in, at the cost of the quietest stranger if need be; ``None`` where there is no place.

        Parameters
        ----------
        hang_up
            Ends the connection without waiting.
        """
        name = owner(address)
        home = self._addresses.get(name) or self._idle.pop(name, None) or _Address(name)
        if len(home.strangers) >= self._most_strangers or home.open >= self.per_address:
            made = self._make_room(home.strangers)
        else:
            made = len(self) < self.most or self._make_room(self.strangers)
        if not made:
            if not home.open:
                self._rest(home)
            return None
        self._addresses[name] = home
        share = Share(Bucket(STRANGER.connection), home.before, self._sleep)
        connection = Connection(self, next(self._numbers), home, hang_up, share)
        home.strangers[connection.number] = self.strangers[connection.number] = connection
        home.open += 1
        self._open[connection.number] = connection
        return connection

    def _make_room(self, strangers: OrderedDict[int, Connection]) -> bool:
        quietest = next(iter(strangers.values()), None)
        if quietest is None:
            return False
        self.forget(quietest)  # it is closed a moment later; until then it takes one of the reserved files
        quietest.hang_up()
        return True

    def forget(self, stranger: Connection) -> None:
        """Take a connection off the list of strangers."""
        self.strangers.pop(stranger.number, None)
        stranger.address.strangers.pop(stranger.number, None)

    def hang_up(self) -> None:
        """End all connections without waiting."""
        for connection in [*self._open.values()]:
            connection.hang_up()

    def left(self, connection: Connection) -> None:
        """Note that a connection is closed."""
        address = connection.address
        del self._open[connection.number]
        address.open -= 1
        if not address.open:
            self._addresses.pop(address.name, None)
            self._rest(address)

    def _rest(self, address: _Address) -> None:
        self._idle[address.name] = address
        while len(self._idle) > REMEMBERED:
            self._idle.popitem(last=False)
