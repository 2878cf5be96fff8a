"""One exception tree. Each message is a sentence that its reader can act on."""

from __future__ import annotations


class BrambleError(Exception):
    """Base of every error that Bramble raises on purpose."""


class ProtocolError(BrambleError):
    """A message does not follow the contract; the text names the field and what was expected."""


class StaleError(ProtocolError):
    """An answer was made to another question than the one that is open."""


class LayoutError(ProtocolError):
    """A layout is malformed, or not the one that the task has."""


class EncodingError(ProtocolError):
    """Weight bytes do not fit their layout and encoding, or hold a value that is not finite."""
