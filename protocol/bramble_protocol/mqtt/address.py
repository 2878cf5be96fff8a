"""Where a broker is, and who one is to it."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from bramble_protocol.errors import BrambleError
from bramble_protocol.named_files import read_text, verifying

log = logging.getLogger(__name__)

WANTED = "expected the broker's address, such as mqtt://192.168.1.5 or mqtts://home.example:8883"
PORTS = {"mqtt": 1883, "mqtts": 8883}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class BrokerError(BrambleError):
    """A broker cannot be used as it is described; the text names the setting and the remedy."""


class Login(NamedTuple):
    """Who one is to a broker."""

    user: str
    password: str


class Address(NamedTuple):
    """Where a broker is."""

    host: str
    port: int
    encrypted: bool

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address in ``mqtt://HOST[:PORT]``, or with TLS ``mqtts://HOST[:PORT]``.

        Raises
        ------
        ValueError
            If it is none, or holds a password: addresses are shown and logged, and a password has a file of its own.
        """
        try:
            url = urlsplit(text)
            port = url.port
            (url.hostname or "").encode("idna")
        except ValueError:  # UnicodeError is one
            raise ValueError(WANTED) from None
        if url.scheme not in PORTS or not url.hostname or port == 0 or url.path not in ("", "/") or url.query or url.fragment:
            raise ValueError(WANTED)
        if "@" in url.netloc:
            raise ValueError(f"{WANTED}, with no user or password in it: they come in a file")
        return cls(url.hostname, port or PORTS[url.scheme], url.scheme == "mqtts")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.encrypted else 'mqtt'}://{host}:{self.port}"


class Way(NamedTuple):
    """Where a broker is, who one is there, and what verifies it."""

    address: Address
    login: Login | None
    tls: ssl.SSLContext | None


def warn_if_readable(way: Way) -> None:
    """Say so where anybody on the network can read what goes to a broker."""
    if not way.address.encrypted and way.address.host not in LOOPBACK:
        what = "what is told it, and its password, go" if way.login else "what is told it goes"
        sentence = "%s to the broker %s unencrypted; anyone on the network can read it: write mqtts:// where it can do that"
        log.warning(sentence, what, way.address)


def way(broker: str, login: Path | None, ca: Path | None) -> Way:
    """Return how a broker is reached by the settings ``mqtt``, ``mqtt_login`` and ``mqtt_ca``.

    Raises
    ------
    BrokerError
        If a file cannot be used.
    """
    address = Address.parse(broker)
    return Way(
        address,
        read_login(login, "--mqtt-login") if login else None,
        tls_context(ca, "--mqtt-ca") if address.encrypted else None,
    )


def fit_together(broker: str | None, login: Path | None, ca: Path | None) -> None:
    """Refuse settings that say nothing beside each other.

    Raises
    ------
    ValueError
        Which, with the remedy.
    """
    if ca is not None and not (broker or "").startswith("mqtts:"):
        raise ValueError("--mqtt-ca is for a broker with TLS: write its address as --mqtt mqtts://...")
    if login is not None and broker is None:
        raise ValueError("--mqtt-login is for a broker: add --mqtt, or leave it out")


def broker_address(text: str | None) -> str | None:
    """Return the address of a broker as it was given, None for an empty one; see :meth:`Address.parse`."""
    if text:
        Address.parse(text)
    return text or None


def read_login(path: Path, setting: str) -> Login:
    """Return the user on the first line of a file, and the password on its second.

    Raises
    ------
    BrokerError
        If the file cannot be read, or does not hold these two lines.
    """
    lines = read_text(path, setting, BrokerError).splitlines()
    if len(lines) != 2 or not all(lines):
        raise BrokerError(f"{setting}: {path} must hold the user on its first line, the password on its second, and nothing else")
    return Login(*lines)


class _Socket(ssl.SSLSocket):
    """Closed at once when the broker is not believed: paho-mqtt would leave that to Python's collector."""

    def do_handshake(self, block: bool = False) -> None:
        """Agree on keys, or close."""
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def tls_context(ca: Path | None, setting: str) -> ssl.SSLContext:
    """Return a context that trusts the authorities in a file, or those of the system.

    Raises
    ------
    BrokerError
        If there is none in the file.
    """
    return verifying(ca, setting, BrokerError, _Socket)
