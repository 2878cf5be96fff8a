"""The server, made to stand still at one point until a file is there: ``STALL=point STALLS=file GO=file python stalling.py <flags>``."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bramble.cli import main
from bramble_protocol.messages import Delivery
from bramble_server.learning.strategies.fedavg import FedAvg
from bramble_server.rounds import round
from bramble_server.rounds.opening import Openings
from bramble_server.rounds.roundfile import RoundFile
from bramble_server.store import models

stalls, go = Path(os.environ["STALLS"]), Path(os.environ["GO"])


def stalling(method: Callable[..., Any], here: Callable[..., bool]) -> Callable[..., Any]:
    """Return a function that says where it stands, and goes on when it may."""

    def wrapped(*arguments: Any, **options: Any) -> Any:
        if here(*arguments):
            stalls.touch()
            while not go.exists():
                time.sleep(0.01)
        return method(*arguments, **options)

    return wrapped


def always(*_: Any) -> bool:
    return True


def of_a_round(handle: int) -> bool:
    return "/rounds/" in os.readlink(f"/proc/self/fd/{handle}")  # and not the database's


POINTS: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "an update is decoded": (Delivery, "open", always),
    "an update is measured": (round, "length", always),
    "an update is put aside": (RoundFile, "append", lambda file, about, *_: about.get("kind") == "update"),
    "the disk is told to keep it": (os, "fdatasync", of_a_round),
    "an update is folded": (FedAvg, "fold", always),
    "an update is compared with the new model": (round, "measure", always),
    "the new model is stored": (models, "save", always),
    "files that nobody needs are deleted": (Openings, "let_go", always),
}
where, name, here = POINTS[os.environ["STALL"]]
setattr(where, name, stalling(getattr(where, name), here))
main(["server", *sys.argv[1:]])
