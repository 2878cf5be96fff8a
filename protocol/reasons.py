"""Reasons for which a client delivers nothing although its release is sound: they lie in what it measured.

Whoever judges a release tells these from a training that fails.
"""

NO_WINDOW = "no training window yet"
"""How the reason begins of a client that has measured too little."""
DOUBTED = "windows cannot be true"
"""What is in the reason of a client that does not believe its sensors."""


def too_little(reason: str) -> bool:
    """Whether a client has only measured too little so far, for instance because it is new."""
    return reason.startswith(NO_WINDOW)


def doubtful(reason: str) -> bool:
    """Whether a client does not believe its own readings."""
    return DOUBTED in reason
