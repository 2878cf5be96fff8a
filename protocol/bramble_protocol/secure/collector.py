"""The server's part in a secure sum: it hands on what clients say to each other, adds up their masked words, and takes the masks off."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.errors import ProtocolError
from bramble_protocol.secure import masking, sharing
from bramble_protocol.secure.fixed import Encoding
from bramble_protocol.secure.neighbours import ring, threshold
from bramble_protocol.secure.party import KEYS, SHARES, SIGNATURE, listed, signed_text

if TYPE_CHECKING:
    from bramble_protocol.secure.roll import Roll


class Opened(NamedTuple):
    """What a sum says."""

    change: NDArray[np.float64]
    """The mean change of the model, each client by its weight, shape (size,); of words with noise, the sum."""
    totals: dict[str, float]
    """As :data:`bramble_protocol.secure.fixed.TOTALS` names them; of words with noise, what these say."""
    counts: dict[str, tuple[float, ...]]
    """What clients counted, added up; no vector of zeros."""
    liars: dict[str, str]
    """Clients that gave shares which are not of what they hold, and what of."""


class Collector:
    """Gathers one round. Who is in which phase is the machine's business (``bramble_server.rounds.secure``).

    Parameters
    ----------
    context
        What tells this round from all others.
    encoding, size
        How clients' changes become words, and how many weights there are.
    roll
        Whose keys are whose, if that is known: keys that others signed are then refused here, before they spoil the round for everybody.
    former
        Keys that clients had in the rounds before.
    """

    def __init__(
        self, context: bytes, encoding: Encoding, size: int, roll: Roll | None = None, former: Mapping[str, bytes] | None = None
    ) -> None:
        self._context, self._encoding, self._roll, self._former = context, encoding, roll, former or {}
        self.keys: dict[str, bytes] = {}
        """What each client said its keys are, with its signature."""
        self._ring: dict[str, tuple[str, ...]] = {}
        self._places: dict[str, int] = {}
        self._sealed: dict[str, dict[str, bytes]] = {}
        """By client that made them, its sealed shares by who is to have them."""
        self._paired: tuple[str, ...] = ()
        """Clients that may have made masks with each other."""
        self._sum = np.zeros(encoding.words(size), np.uint32)
        self._survivors: set[str] = set()
        self._signed: dict[str, bytes] = {}
        self._opening: dict[str, dict[str, bytes]] = {}
        """By holder, its shares by whose they are of."""

    def take(self, client: str, phase: str, data: bytes) -> None:
        """Take what a client says in a phase other than ``masked``.

        Raises
        ------
        ProtocolError
            If it is not what the phase wants; nothing has changed then.
        """
        {"keys": self._keys, "shares": self._shares, "list": self._list, "open": self._open}[phase](client, data)

    def _keys(self, client: str, data: bytes) -> None:
        _long(data, KEYS + SIGNATURE, "keys")
        if self._roll:
            self._roll.verify(client, signed_text(self._context, b"keys", client, data[:KEYS]), data[KEYS:])
        parts = _parts(data[:KEYS], masking.KEY)
        if set(parts) & set(_parts(self._former.get(client, b"")[:KEYS], masking.KEY)):
            raise ProtocolError("secure sum: a key of this client was used in a round before, and each round wants new ones")
        if len(set(parts)) < len(parts) or any(set(parts) & set(_parts(other[:KEYS], masking.KEY)) for other in self.keys.values()):
            raise ProtocolError("secure sum: a key comes twice in this round")
        self.keys[client] = data

    def _shares(self, client: str, data: bytes) -> None:
        neighbours = self._ring[client]
        _long(data, SHARES * len(neighbours), "shares")
        self._sealed[client] = dict(zip(neighbours, _parts(data, SHARES), strict=True))

    def _list(self, client: str, data: bytes) -> None:
        _long(data, SIGNATURE, "list")
        if self._roll:
            self._roll.verify(client, signed_text(self._context, b"list", client, listed(sorted(self._survivors))), data)
        self._signed[client] = data

    def _open(self, client: str, data: bytes) -> None:
        owners = sorted({*self._ring[client], client} & set(self._paired))
        _long(data, sharing.SIZE * len(owners), "open")
        shares = dict(zip(owners, _parts(data, sharing.SIZE), strict=True))
        if any(int.from_bytes(share, "little") >= sharing.PRIME for share in shares.values()):
            raise ProtocolError("secure sum: a share is no number of the field, so it does not verify")
        self._opening[client] = shares

    def mask(self, client: str, data: bytes | memoryview) -> None:
        """Add a client's masked words to the sum, where alone they go.

        Raises
        ------
        ProtocolError
            If they are not as many as the model takes.
        """
        _long(data, self._sum.nbytes, "masked")
        self._sum += np.frombuffer(data, "<u4")
        self._survivors.add(client)

    def told(self, phase: str, clients: Collection[str]) -> dict[str, tuple[list[str], bytes]]:
        """Return what those are told that go on into a phase: each a list of clients, and what belongs to these, one after the other."""
        going = sorted(clients)
        if phase == "shares":
            keys = {client: self.keys[client] for client in going}
            self._ring, self._places = ring(keys), {client: place for place, client in enumerate(going, 1)}
            return dict.fromkeys(going, (going, b"".join(keys.values())))
        if phase == "masked":
            self._paired = tuple(going)
            senders = {client: [other for other in self._ring[client] if other in clients] for client in going}
            return {client: (theirs, b"".join(self._sealed[other][client] for other in theirs)) for client, theirs in senders.items()}
        if phase == "list":
            return dict.fromkeys(going, (sorted(self._survivors), b""))
        signers = sorted(self._signed.keys() & set(going))
        return dict.fromkeys(going, (signers, b"".join(self._signed[client] for client in signers)))

    def open(self) -> Opened:
        """Take the masks off.

        Raises
        ------
        ProtocolError
            If too few shares came that are right; the sum then stays closed for good.
        """
        liars: dict[str, str] = {}
        total = self._sum.copy()
        for client in self._paired:
            survived = client in self._survivors
            secret = self._recovered(client, survived, liars)
            if survived:
                masking.add_mask(total, secret, -1)
            else:
                self._cancel(total, client, secret)
        return Opened(*self._encoding.decode(total), liars)

    def _cancel(self, total: NDArray[np.uint32], dropped: str, secret: bytes) -> None:
        """Take off the masks that others made with one that dropped."""
        masks = masking.Secret(secret)
        for other in self._ring[dropped]:
            if other in self._survivors:
                key = masks.agreed(self.keys[other][masking.KEY : 2 * masking.KEY], self._context)
                masking.add_mask(total, key, -1 if other < dropped else 1)

    def _recovered(self, client: str, survived: bool, liars: dict[str, str]) -> bytes:
        holders = {*self._ring[client], client}
        promised = self.keys[client][2 * masking.KEY : KEYS] if survived else self.keys[client][masking.KEY : 2 * masking.KEY]
        proof = masking.commitment if survived else lambda found: masking.Secret(found).public
        shares = {self._places[holder]: told[client] for holder, told in self._opening.items() if holder in holders}
        least = threshold(len(holders))
        secret, odd = sharing.recover(shares, least, lambda found: proof(found) == promised)
        names = {place: name for name, place in self._places.items()}
        liars |= {names[place]: f"its share of {client} does not verify" for place in odd}
        if secret is None:
            why = f"{least} that verify are needed of {len(shares)} that came"
            raise ProtocolError(f"secure sum: it stays closed, for the shares of {client} do not open it: {why}")
        return secret


def _long(data: bytes | memoryview, size: int, phase: str) -> None:
    if len(data) != size:
        raise ProtocolError(f"secure sum: {phase} of {size} bytes were expected, and {len(data)} came")


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def split(clients: Iterable[str], data: bytes) -> dict[str, bytes]:
    """Return what belongs to each of some clients, of equal length each.

    Raises
    ------
    ProtocolError
        If a client comes twice, or the bytes do not go round.
    """
    names = list(clients)
    size = len(data) // len(names) if names else 0
    if len(set(names)) < len(names) or size * len(names) != len(data):
        raise ProtocolError("secure sum: what the server told does not fit the clients that it is of")
    return {client: data[at * size : (at + 1) * size] for at, client in enumerate(names)}
