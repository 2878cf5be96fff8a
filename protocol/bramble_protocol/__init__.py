"""The contract that the server and every client share: messages, layouts, weight codecs, errors.

Depends on numpy alone and knows no other room, so that anything which speaks it, on a Pi or elsewhere, can reuse it.
"""

from bramble_protocol.errors import BrambleError, EncodingError, LayoutError, ProtocolError

VERSION = 2
"""Version of the contract that this code speaks."""
SPOKEN = (1, 2)
"""Versions of which a server takes clients: a fleet upgrades its server first and its clients over hours. What a client of
version 1 (release 0.1) is sent holds exactly the fields of that version, for it refuses any other."""

__all__ = ["SPOKEN", "VERSION", "BrambleError", "EncodingError", "LayoutError", "ProtocolError"]
