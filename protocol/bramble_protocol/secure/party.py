"""One client's part in a secure sum. It says each thing once, and nothing that would open a sum it did not agree to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bramble_protocol.errors import ProtocolError
from bramble_protocol.reasons import FEW
from bramble_protocol.secure import masking, sharing
from bramble_protocol.secure.fixed import Words
from bramble_protocol.secure.neighbours import digest, ring, threshold

if TYPE_CHECKING:
    from bramble_protocol.secure.roll import Identity, Roll

KEYS = 3 * masking.KEY
"""Bytes of a client's keys: that which seals, that which masks, and the commitment to its own mask."""
SIGNATURE = 64
"""Bytes of a signature; zeros where a client has no identity."""
SHARES = 2 * sharing.SIZE + masking.TAG
"""Bytes of what a client sends one neighbour: a share of its own mask's key and one of its masking key, sealed."""


@dataclass(frozen=True)
class Whose:
    """By what a client tells whose keys are whose: its own key, and the fleet's roll. A server is then not able to invent clients."""

    identity: Identity
    roll: Roll


@dataclass
class _Peer:
    seals: bytes
    masks: bytes
    place: int
    mine: bool = False
    """Whether it is a neighbour."""
    key: bytes = b""
    """That seals what the two say to each other."""
    shares: tuple[bytes, bytes] | None = None
    """Of its own mask's key, and of its masking key."""


@dataclass
class Party:
    """A client in one round.

    Parameters
    ----------
    me
        Its id.
    context
        What tells this round from all others.
    least
        Clients below which no sum is opened, as its owner says.
    whose
        Without it a curious server learns nothing, but a dishonest one could play all the others itself.
    """

    me: str
    context: bytes
    least: int = 2
    whose: Whose | None = None
    _own: bytes = field(default_factory=lambda: sharing.as_bytes(sharing.secret()), repr=False)
    _masking: bytes = field(default_factory=lambda: sharing.as_bytes(sharing.secret()), repr=False)
    _peers: dict[str, _Peer] = field(default_factory=dict, repr=False)
    _masked: bool = False
    _survivors: tuple[str, ...] | None = None
    _opened: bool = False

    def __post_init__(self) -> None:
        self._seals, self._masks = masking.Secret(sharing.as_bytes(sharing.secret())), masking.Secret(self._masking)

    def keys(self) -> bytes:
        """Return its keys, signed where it has an identity."""
        keys = self._seals.public + self._masks.public + masking.commitment(self._own)
        return keys + self._signed(b"keys", keys)

    def share(self, said: Mapping[str, bytes]) -> bytes:
        """Take the keys of all clients; return its sealed shares, one after the other, for its neighbours in the order of their names.

        Raises
        ------
        ProtocolError
            If there are fewer than it wants, keys come twice or are not signed by whose they are, or its own is another.
        """
        if self._peers:
            raise ProtocolError("secure sum: the keys of this round came before")
        if len(said) < self.least:
            raise ProtocolError(f"{FEW}{len(said)} clients would be in it, and this one wants {self.least}")
        if said.get(self.me) != self.keys():
            raise ProtocolError("secure sum: the keys of this client are not those that it sent")
        if len({data[:KEYS] for data in said.values()}) < len(said):
            raise ProtocolError("secure sum: two clients have the same keys")
        for client, data in said.items():
            self.check(client, b"keys", data[:KEYS], data[KEYS:])
        mine = set(ring(said)[self.me])
        for place, client in enumerate(sorted(said), 1):
            data = said[client]
            self._peers[client] = _Peer(data[: masking.KEY], data[masking.KEY : 2 * masking.KEY], place, client in mine)
        holders = {self._peers[client].place: client for client in sorted(mine | {self.me})}
        enough = threshold(len(holders))
        shared = [sharing.share(int.from_bytes(secret, "little"), holders, enough) for secret in (self._own, self._masking)]
        shares = {client: (shared[0][place], shared[1][place]) for place, client in holders.items()}
        self._peers[self.me].shares = shares.pop(self.me)
        for client in shares:
            self._peers[client].key = self._seals.agreed(self._peers[client].seals, self.context)
        return b"".join(
            masking.seal(self._peers[client].key, b"".join(both), self.context, self.me > client) for client, both in shares.items()
        )

    def take(self, said: Mapping[str, bytes]) -> None:
        """Take the shares that neighbours sent: with these it makes masks.

        Raises
        ------
        ProtocolError
            If one does not verify, or too few came.
        """
        if self._masked or any(peer.shares for client, peer in self._peers.items() if client != self.me):
            raise ProtocolError("secure sum: the shares of this round came before")
        for client, sealed in said.items():
            peer = self._peers.get(client)
            if peer is None or not peer.mine:
                raise ProtocolError(f"secure sum: {client} is no neighbour of this client")
            text = masking.unseal(peer.key, sealed, self.context, client > self.me)
            if text is None or len(text) != 2 * sharing.SIZE:
                raise ProtocolError(f"secure sum: the share of {client} does not verify; it is of another round, or was changed on the way")
            peer.shares = text[: sharing.SIZE], text[sharing.SIZE :]
        holders = 1 + sum(peer.mine for peer in self._peers.values())
        if len(said) + 1 < threshold(holders):
            raise ProtocolError(
                f"secure sum: {len(said) + 1} of the {holders} that hold shares of this client are left, too few to open a sum"
            )

    def mask(self, words: Words) -> Words:
        """Return its words, shape as given, masked; once.

        Raises
        ------
        ProtocolError
            If it did before: two masked vectors of one round would tell their difference.
        """
        if self._masked or not self._peers:
            raise ProtocolError("secure sum: this client has masked its words of this round before, or no keys came")
        self._masked, masked = True, words.copy()
        masking.add_mask(masked, self._own)
        for client in self._pairs:
            masking.add_mask(masked, self._masks.agreed(self._peers[client].masks, self.context), 1 if self.me < client else -1)
        return masked

    def agree(self, survivors: Sequence[str]) -> bytes:
        """Take the list of those whose masked words came; return its signature to it. Once.

        Raises
        ------
        ProtocolError
            If the list is not of this round's clients, or too short to be opened.
        """
        names = tuple(sorted(set(survivors)))
        if self._survivors is not None or not self._masked:
            raise ProtocolError("secure sum: this client agreed to a list of this round before, or sent no masked words")
        if self.me not in names or not set(names) <= self._peers.keys() or len(names) != len(survivors):
            raise ProtocolError("secure sum: the list of who is in it names others than those whose keys came, or not this client")
        if len(names) < self.least:
            raise ProtocolError(f"secure sum: {len(names)} clients are in it, and this one wants {self.least}")
        holding, all_of_them = (
            sum(client in names for client in (*self._pairs, self.me)),
            1 + sum(peer.mine for peer in self._peers.values()),
        )
        if holding < threshold(all_of_them):
            raise ProtocolError(f"secure sum: {holding} of this client's {all_of_them} holders of shares are in it, too few to open it")
        self._survivors = names
        return self._signed(b"list", listed(names))

    def unmask(self, signed: Mapping[str, bytes]) -> bytes:
        """Take the signatures of those that agreed; return the shares that open the sum: for itself and each neighbour whose shares it
        holds, in the order of their names, that of the own mask of who is in the sum, that of the masking key of who dropped. Once.

        Raises
        ------
        ProtocolError
            If it did before, agreed to no list, or too few of those that hold its shares agreed to the same one.
        """
        if self._survivors is None or self._opened:
            raise ProtocolError("secure sum: this client opened its part of this round before, or agreed to no list")
        holders = {*(client for client, peer in self._peers.items() if peer.mine), self.me}
        what = listed(self._survivors)
        for client, signature in signed.items():
            if client not in self._survivors:
                raise ProtocolError(f"secure sum: {client} agreed to the list and is not on it")
            self.check(client, b"list", what, signature)
        if len(signed.keys() & holders) < threshold(len(holders)):
            raise ProtocolError(
                f"secure sum: {len(signed.keys() & holders)} of this client's {len(holders)} holders of shares agreed to the list"
            )
        self._opened, told = True, []
        for client in sorted((*self._pairs, self.me)):
            shares = self._peers[client].shares
            assert shares is not None
            told.append(shares[0] if client in self._survivors else shares[1])
        return b"".join(told)

    @property
    def _pairs(self) -> list[str]:
        """Neighbours with whom it makes masks: those whose shares came."""
        return [client for client, peer in self._peers.items() if peer.mine and peer.shares]

    def _signed(self, what: bytes, message: bytes) -> bytes:
        return self.whose.identity.sign(signed_text(self.context, what, self.me, message)) if self.whose else bytes(SIGNATURE)

    def check(self, client: str, what: bytes, message: bytes, signature: bytes) -> None:
        """Return if a client signed something for this round, or this client has no roll.

        Raises
        ------
        ProtocolError
            If not.
        """
        if self.whose:
            self.whose.roll.verify(client, signed_text(self.context, what, client, message), signature)


def signed_text(context: bytes, what: bytes, client: str, message: bytes) -> bytes:
    """Return what a client signs; nothing else that its key may sign begins like it."""
    return b"bramble secure " + what + b" " + client.encode() + b"\n" + context + message


def listed(names: Sequence[str]) -> bytes:
    """Return what is signed of a list of clients."""
    return digest((name, b"") for name in names)
