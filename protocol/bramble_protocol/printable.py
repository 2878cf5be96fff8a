"""Text of a peer, made fit for a log and a terminal."""

from __future__ import annotations

LONGEST = 300


def printable(text: str, longest: int | None = LONGEST) -> str:
    """Return a text that cannot forge a line of a log or upset a terminal: ``?`` for what is not printable, cut at a length."""
    text = text[:longest]
    return text if text.isprintable() else "".join(character if character.isprintable() else "?" for character in text)
