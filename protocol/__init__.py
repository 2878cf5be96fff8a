"""The contract that the server and every client share: messages, layouts, weight codecs, errors.

Depends on numpy alone and knows no other room, so that anything which speaks it, on a Pi or elsewhere, can reuse it.
"""

from protocol.errors import BrambleError, EncodingError, LayoutError, ProtocolError

VERSION = 1
"""Version of the contract. A server refuses a handshake that names another one."""

__all__ = ["VERSION", "BrambleError", "EncodingError", "LayoutError", "ProtocolError"]
