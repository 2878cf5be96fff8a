"""The server, made to fail at one point of one round: ``BREAK=point:round python breaking.py <flags>``."""

import os
import sqlite3
import sys
from typing import Any

from sqlalchemy.exc import OperationalError

from bramble.cli import main
from bramble_server.learning.aggregate import AggregateError
from bramble_server.learning.strategies.fedavg import FedAvg
from bramble_server.rounds.cycles import Cycles
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.roundfile import RoundFile, RoundFileError

point, _, number = os.environ["BREAK"].partition(":")
current = 0


def disk_full() -> OperationalError:
    """What SQLAlchemy raises when SQLite finds the disk full."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"
    return OperationalError("INSERT", {}, error)


def failing(method: Any, error: Exception) -> Any:
    """Return a method that raises in the chosen round and is itself in all others; the next one's file is made while it is current."""

    def wrapped(self: Any, *arguments: Any, **options: Any) -> Any:
        if current == int(number) and not (isinstance(self, RoundFile) and "format" in arguments[0]):
            raise error
        return method(self, *arguments, **options)

    return wrapped


made = OpenRound.__init__


def make(self: OpenRound, task: str, file: RoundFile, *arguments: Any) -> None:
    """Note which round is the current one."""
    global current
    current = file.header.round
    made(self, task, file, *arguments)


OpenRound.__init__ = make  # type: ignore[method-assign, assignment]
TARGETS: dict[str, tuple[Any, str, Exception]] = {
    "the model is not finite": (FedAvg, "finish", AggregateError("aggregate: value 0 of the new model is not finite")),
    "the disk is full at the opening": (OpenRound, "opened", disk_full()),
    "the disk is full at the commit": (OpenRound, "_write_parts", disk_full()),
    "the disk is full for an update": (
        RoundFile,
        "append",
        RoundFileError("round file: the update could not be put aside (No space left on device)"),
    ),
    "a bug in the strategy": (FedAvg, "fold", ZeroDivisionError("bug")),
    "a bug in the commit": (FedAvg, "finish", ZeroDivisionError("bug")),
    "a bug in the clock": (Cycles, "give_up", ZeroDivisionError("bug")),
}
where, name, error = TARGETS[point]
setattr(where, name, failing(getattr(where, name), error))
main(["server", *sys.argv[1:]])
