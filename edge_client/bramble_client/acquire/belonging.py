"""Which fleet a client's readings were measured for. Those of another one are set aside, neither trained on nor sent.

Each fleet has a name that outlives its keys, its server and that server's database. The readings' own is kept among them, so that a card, a
copy or a Pi that comes to another fleet does not teach it unasked what was measured elsewhere. Readings without one, of a release
that did not ask or of a client that nobody told, are the fleet's that is named first.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from bramble_client.acquire.database import set_aside
from bramble_client.acquire.recorder import Recorder
from bramble_client.commands.startup import StartError
from bramble_client.deliver.outbox import Outbox
from bramble_client.learn.memory import Memory
from bramble_client.machine import disk
from bramble_protocol.clock import Clock

log = logging.getLogger(__name__)

FLEET = "fleet"
"""Name under which the recorder keeps whose its readings are."""
KEEP = 3
"""Files of other fleets that are kept, the newest ones."""
LONGEST = 200


def read_fleet(path: Path) -> str | None:
    """Return the name in a file; None, which is said, where there is none."""
    try:
        name = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        log.warning("--fleet-file: cannot read %s (%s); readings stay those of the fleet before", path, getattr(error, "strerror", error))
        return None
    if not name or not name.isprintable() or len(name) > LONGEST:
        log.warning("--fleet-file: %s does not hold one name; readings stay those of the fleet before", path)
        return None
    return name


def claim(folder: Path, fleet: str, cap: int, adopt: bool, clock: Clock = time) -> None:
    """Make the readings in a folder those of a fleet, before anybody uses them.

    Parameters
    ----------
    folder
        The client's, which nobody else uses.
    fleet
        Whose client it is now.
    cap
        Samples that the recorder keeps.
    adopt
        Whether to take along what was measured for another fleet, instead of setting it aside.
    clock
        Names what is set aside.

    Raises
    ------
    StartError
        If readings of another fleet cannot be set aside.
    """
    path = folder / "readings.db"
    with closing(Recorder(path, cap)) as recorder:
        before, span = recorder.get(FLEET), recorder.span()
        if before == fleet:
            return
        try:
            if before is not None:
                _forget_unsent(folder / "outbox.db")
                Memory(recorder).forget_untold()
        except sqlite3.Error as error:
            raise _stuck(before, fleet, disk.remedy(folder, error)) from error
        if before is None or adopt:
            recorder.set(FLEET, fleet)
            if before is not None and span is not None:
                log.warning("moved from fleet %s to %s: its %d samples come along, as --adopt-readings says", before, fleet, span[0])
            return
    # Closed, it is one file: what was not in it yet has been written there.
    aside = set_aside(path, f"of-{_file_name(before)}", clock)
    try:
        path.rename(aside)
    except OSError as error:
        raise _stuck(before, fleet, disk.remedy(folder, error)) from error
    with closing(Recorder(path, cap)) as recorder:
        recorder.set(FLEET, fleet)
    log.warning(
        "moved from fleet %s to %s: its %d samples are set aside as %s, neither trained on nor sent; to take them along, rename that "
        "file back while the client is stopped and start it with --adopt-readings",
        before, fleet, span[0] if span else 0, aside.name,
    )  # fmt: skip
    for old in sorted(folder.glob(f"{path.name}.of-*"), key=lambda item: item.stat().st_mtime)[:-KEEP]:
        old.unlink(missing_ok=True)


def _forget_unsent(path: Path) -> None:
    """Forget answers to rounds, and mirrored readings, that the other fleet's server did not take: this one's must not."""
    with closing(Outbox(path)) as outbox:
        outbox.clear()


def _file_name(name: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "-" for character in name)[:60]


def _stuck(before: str | None, fleet: str, why: str) -> StartError:
    return StartError(f"the readings of fleet {before} cannot be set aside for fleet {fleet} ({why}); start again when they can")
