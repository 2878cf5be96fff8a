"""Which graphs this client runs: those that Bramble was released with, and those that an operator signed whose key it was given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bramble_client.learn.graphs import GraphRejected
from bramble_protocol import released, signatures
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile


class GraphTrust:
    """Says of each graph whether it is run.

    Parameters
    ----------
    keys
        Operators' public keys (Ed25519), 32 bytes each. Without any, the built-in tasks' graphs alone are run.

    Raises
    ------
    BrambleError
        If there are keys, and the library that checks signatures is not installed.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = [_loaded(key) for key in keys]

    def __str__(self) -> str:
        signed = f" and those signed by one of {len(self._keys)} keys" if self._keys else ""
        return f"runs the graphs of Bramble's own tasks{signed}, no other"

    def check(self, graph: GraphFile, fetch_signatures: Callable[[str], bytes]) -> None:
        """Return if this graph is to be run.

        Parameters
        ----------
        graph
            Whose digest was found to be the one that was asked for.
        fetch_signatures
            Returns the file of signatures for a digest, empty if there is none.

        Raises
        ------
        GraphRejected
            If it is not; the text says what its operator can do.
        """
        if graph.fingerprint in released.fingerprints():
            return
        name = f"graph {graph.sha256[:12]} of task {graph.manifest.task}"
        remedy = "sign it with bramble task sign, and give this client the key with --trust-graphs"
        if not self._keys:
            raise GraphRejected(f"{name}: it did not come with Bramble, and this client was given no operator's key; not run: {remedy}")
        text = fetch_signatures(graph.sha256).decode("ascii", "replace")
        try:
            found = signatures.read_signatures(text, f"{name}: its signatures")
        except BrambleError as error:
            raise GraphRejected(f"{error}; not run: {remedy}") from error
        if not found:
            raise GraphRejected(f"{name}: nobody signed it; not run: {remedy}")
        if not any(key(signature, signatures.message(graph.sha256)) for key in self._keys for signature in found):
            raise GraphRejected(f"{name}: none of its {len(found)} signatures is by a key that this client was given; not run: {remedy}")


def read_keys(text: str) -> list[bytes]:
    """Return the keys that ``--trust-graphs`` names: keys and files of keys, with commas between them.

    Raises
    ------
    BrambleError
        Naming the part that is neither.
    """
    keys: list[bytes] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part.startswith(signatures.PREFIX):
            keys += signatures.read_keys(part, "--trust-graphs")
            continue
        try:
            with Path(part).open(encoding="utf-8") as file:
                content = file.read(signatures.LARGEST)
        except (OSError, UnicodeDecodeError) as error:
            raise BrambleError(f"--trust-graphs: cannot read {part} ({getattr(error, 'strerror', None) or 'it is no text'})") from error
        keys += signatures.read_keys(content, f"--trust-graphs: {part}")
    return keys


def _loaded(key: bytes) -> Callable[[bytes, bytes], bool]:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise BrambleError(f"--trust-graphs: signatures cannot be checked ({error}); pip install 'bramble-fl[client,signing]'") from error
    try:
        public = Ed25519PublicKey.from_public_bytes(key)
    except ValueError as error:
        raise BrambleError(f"--trust-graphs: {signatures.key_text(key)} is no key ({error})") from error

    def signed(signature: bytes, message: bytes) -> bool:
        try:
            public.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return signed
