"""Who may connect: version, id, token, simulated data, duplicates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bramble_protocol
from bramble_protocol import features
from bramble_protocol.errors import BrambleError
from bramble_protocol.messages import Handshake
from bramble_protocol.printable import printable
from bramble_server.fleet.guesses import ThrottledError
from bramble_server.fleet.registry import Client, Registry
from bramble_server.fleet.tokens import Tokens, hash_of


class HandshakeError(BrambleError):
    """A client is not let in; the text says why in one sentence."""


class Admission:
    """Decides by its handshake whether a client is let in.

    A second connection with the id of a live one takes its place only with the same credential. With tokens that is the
    client's token. Without, all there is to know a client by is the address it comes from: a Pi that rebooted before its
    old connection was found dead comes from the same one, a second Pi with a copied id does not. Once two are known to have
    one id, the one that is connected stays, so that they stop throwing each other out.

    Parameters
    ----------
    tokens
        The token file, or ``None`` where tokens are off.
    simulated_welcome
        Whether clients with mock sensors are let in.
    """

    def __init__(self, registry: Registry, tokens: Tokens | None, simulated_welcome: bool) -> None:
        self._registry, self._tokens, self._simulated_welcome = registry, tokens, simulated_welcome
        self._found: list[str] = []

    def check(self, auth: Any, address: str) -> Handshake:
        """Return a handshake that is in order, with those of its features alone that are known here.

        Raises
        ------
        BrambleError
            With the sentence for the client.
        """
        spoken = auth.get("protocol") if isinstance(auth, dict) else None
        if type(spoken) is int and spoken not in bramble_protocol.SPOKEN:  # before its fields, which may well be others
            known, behind = " and ".join(map(str, bramble_protocol.SPOKEN)), "server" if spoken > bramble_protocol.VERSION else "client"
            raise HandshakeError(f"protocol: {spoken} is not spoken here, this server speaks {known}; upgrade the {behind}")
        hello = Handshake.from_wire(auth)
        if self._tokens:
            self._vouch(self._tokens, hello, address)
        if hello.simulated and not self._simulated_welcome:
            raise HandshakeError("simulated: mock sensors are not let in here; start the server with --allow-simulated to take them")
        holder = self._registry.get(hello.client_id)
        if holder and holder.connected:
            self._meet(hello, address, holder)
        self._registry.refused.let_in(hello.client_id)
        return replace(hello, features=features.common(hello.features))

    def _vouch(self, tokens: Tokens, hello: Handshake, address: str) -> None:
        """Refuse a client that does not show its own token; to show none is no guess."""
        name, hashed = hello.client_id, hash_of(hello.token or "")
        refusal: BrambleError = HandshakeError(f"token: not the one of client {name}")
        try:
            if hello.token and tokens.guesses.look(address, hashed, lambda: tokens.holds(name, hashed), name):
                return
        except ThrottledError as error:
            refusal = error
        self._registry.refused.note(name, address, self._registry.clock.time())
        raise refusal

    def _meet(self, hello: Handshake, address: str, holder: Client) -> None:
        """Let a client take the place of the live connection that has its id, or refuse it."""
        names, name, now = self._registry.namesakes, hello.client_id, self._registry.clock.time()
        newcomer, known = hello.instance or address, names.since(hello.client_id, now) is not None
        stranger = not self._tokens and address != holder.address and newcomer != holder.mark
        if stranger or (known and newcomer != holder.mark):
            if names.refused(name, newcomer, holder.last_seen, now):
                self._found.append(name)
            who = "another client with this id is connected" if known else f"{name} is connected from another address"
            raise HandshakeError(f"client_id: {who}; give each client an id of its own")
        if names.replaces(name, newcomer, holder.mark, bool(hello.instance), now):
            self._found.append(name)

    def found(self) -> list[str]:
        """Return the ids that two clients were found to share since this was asked last."""
        found, self._found = self._found, []
        return found

    def name_of(self, auth: Any, address: str) -> str:
        """Return what the log calls somebody who was not let in."""
        name = auth.get("client_id") if isinstance(auth, dict) else None
        return f"{printable(name)[:63]} ({address})" if isinstance(name, str) else f"a client at {address}"
