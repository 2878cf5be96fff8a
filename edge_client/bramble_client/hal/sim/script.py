"""Scripts of faults: a TOML file that says what goes wrong, where, when and how often."""

from __future__ import annotations

from pathlib import Path

from bramble_client.hal import tables
from bramble_client.hal.bus import FIRST_ADDRESS, LAST_ADDRESS
from bramble_client.hal.clock import Clock
from bramble_client.hal.errors import FaultScriptError
from bramble_client.hal.sim.faults import Faults, Kind

KEYS = ("kind", "probability", "address", "seconds", "size", "at", "from", "until")


def load(path: Path, clock: Clock) -> Faults:
    """Read a script.

    Each ``[[fault]]`` names its ``kind``. With ``at`` it begins once, that many seconds from now; otherwise at each transfer with
    its ``probability``, perhaps only ``from`` one time ``until`` another. ``address``, ``seconds`` and ``size`` are as in ``Rule``.

    Raises
    ------
    FaultScriptError
        If the file is malformed; the text names the line and the key.
    """
    top, entries = tables.read(path, "fault", FaultScriptError, ("seed",))
    faults = Faults(clock, str(top.get("seed", 0)))
    now = clock.monotonic()
    for entry in entries:
        entry.only(*KEYS)
        kind = entry.text("kind", ".*")
        if kind not in {known.value for known in Kind}:
            entry.wrong("kind", f"{kind!r} is not a fault; there are {', '.join(Kind)}")
        once = "at" in entry.values
        start = entry.number("at" if once else "from", 0, 1e9, 0.0)
        rule = faults.on(
            kind,
            entry.number("probability", 0, 1, 1.0),
            seconds=entry.number("seconds", 0, 1e9, 0.0),
            size=entry.number("size", 0, 1, 0.0),
            start=now + start,
            end=now + entry.number("until", start, 1e9, 1e9),
            once=once,
        )
        if "address" in entry.values:
            rule.address = entry.integer("address", FIRST_ADDRESS, LAST_ADDRESS)
    return faults
