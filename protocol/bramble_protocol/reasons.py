"""Why a client's update or a round came to nothing, where somebody must tell the kinds apart: a broken sensor says nothing of a release."""

NO_WINDOW = "no training window yet"
"""How the reason begins of a client that has measured too little."""
NOT_NOW = "not now: "
"""How the reason begins of a client whose owner does not let it train for the time being."""
DOUBTED = "windows cannot be true"
"""What is in the reason of a client that does not believe its sensors."""
GONE = "disconnected"
"""Reason of a client whose connection ended in the round."""
LATE = "no answer before the deadline"
"""Reason of a client that was there and silent."""
FEW = "too few for a secure sum: "
"""How the reason begins of a client that takes no part in a sum of so few."""
ALONE = "in secure sums alone"
"""What is in the reason of a client that takes no part in a round whose updates somebody could read."""
UNSIGNED = "not signed by its key on the fleet's roll"
"""What is in the reason of a client whose keys for a secure sum another key signed, or none: it may have to be given that yet."""
SPARED = "enough others had answered"
"""Reason of a client that was asked to spare, and was not needed."""
LEFT_OUT = "left out: "
"""How the reason begins for which the server did not count an update."""
UNCOMMITTED = "the server failed to commit it"
"""How the reason begins of a round that ended for a fault of the server's own."""


def too_little(reason: str) -> bool:
    """Whether a client has only measured too little so far, for instance because it is new."""
    return reason.startswith(NO_WINDOW)


def not_now(reason: str) -> bool:
    """Whether a client's owner does not let it train for the time being, which says nothing of it."""
    return reason.startswith(NOT_NOW)


def doubtful(reason: str) -> bool:
    """Whether a client does not believe its own readings."""
    return DOUBTED in reason


def silent(reason: str) -> bool:
    """Whether a client did not answer, which a bad network may cause as well as a training that hangs or ends the client."""
    return reason in (GONE, LATE)


def spared(reason: str) -> bool:
    """Whether a client was asked to spare, and was not needed: that says nothing of it."""
    return reason == SPARED


def of_secrecy(reason: str) -> bool:
    """Whether a client tells nothing to so few, or in the open, as while a fleet goes over to secure sums or back: nobody's fault."""
    return reason.startswith(FEW) or ALONE in reason


def unsigned(reason: str) -> bool:
    """Whether a client has no key of its own or another one than the roll says, as before a release brings it the one that the roll has."""
    return UNSIGNED in reason


def left_out(reason: str) -> bool:
    """Whether an update came and did not count: it is unlike all others'."""
    return reason.startswith(LEFT_OUT)


def of_server(reason: str) -> bool:
    """Whether a round came to nothing through no client's fault."""
    return reason.startswith(UNCOMMITTED)
