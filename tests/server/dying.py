"""The server, made to kill itself at one point of one round: ``DIE_AT=point:round python dying.py <flags>``."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from bramble.cli import main
from bramble_protocol.messages import ClientUpdate
from bramble_server.rounds.commits import Commits
from bramble_server.rounds.opening import Openings
from bramble_server.rounds.round import OpenRound
from bramble_server.store import rounds
from bramble_server.transport.emitter import Emitter

point, _, number = os.environ["DIE_AT"].partition(":")
committing: list[Any] = []


def die() -> None:
    """End as a power cut would, with nothing flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


def at_round(method: Callable[..., Any], before: Callable[[], None] | None, after: Callable[[], None] | None) -> Callable[..., Any]:
    """Wrap a method of the open round so that something happens around it in the chosen round."""

    def wrapped(self: OpenRound, *arguments: Any) -> Any:
        mine = self.number == int(number)
        if mine and before:
            before()
        if mine:
            committing.append(self)
        result = method(self, *arguments)
        if mine and after:
            after()
        return result

    return wrapped


def ask(self: Emitter, clients: Any, update: ClientUpdate) -> None:
    """Die instead of asking anybody in the chosen round."""
    if update.round == int(number):
        die()
    asked(self, clients, update)


def let_go(self: Openings, open_round: OpenRound, committed: bool) -> None:
    """Die instead of tidying up after the chosen round."""
    if open_round.number == int(number):
        die()
    let_gone(self, open_round, committed)


def in_rollback(connection: Any, task: str, to_be: int, *arguments: Any) -> None:
    """Write the chosen rollback, and die before it is committed."""
    written(connection, task, to_be, *arguments)
    if to_be == int(number):
        committing.append(to_be)


def after_rollback(self: Commits, to_be: int, *arguments: Any) -> Any:
    """Die once the chosen rollback is committed, before anybody is told."""
    restored(self, to_be, *arguments)
    if to_be == int(number):
        die()


asked, written, restored, let_gone = Emitter.ask, rounds.rolled_back, Commits.restore, Openings.let_go
match point:
    case "before it is on record":
        OpenRound.opened = at_round(OpenRound.opened, die, None)  # type: ignore[method-assign]
    case "before asking":
        Emitter.ask = ask  # type: ignore[method-assign]
    case "before an update is on the disk":
        OpenRound.take = at_round(OpenRound.take, die, None)  # type: ignore[method-assign]
    case "before an update is acknowledged":
        OpenRound.take = at_round(OpenRound.take, None, die)  # type: ignore[method-assign]
    case "before the commit":
        OpenRound.commit = at_round(OpenRound.commit, die, None)  # type: ignore[method-assign]
    case "in the commit":
        OpenRound.commit = at_round(OpenRound.commit, None, None)  # type: ignore[method-assign]
        # everything is written in the transaction, and SQLite has not been told to commit it
        event.listen(Engine, "commit", lambda connection: die() if committing else None)
    case "after the commit":
        OpenRound.commit = at_round(OpenRound.commit, None, die)  # type: ignore[method-assign]
    case "before its file is let go":
        Openings.let_go = let_go  # type: ignore[method-assign]
    case "in the rollback":
        rounds.rolled_back = in_rollback  # type: ignore[assignment]
        event.listen(Engine, "commit", lambda connection: die() if committing else None)
    case "after the rollback":
        Commits.restore = after_rollback  # type: ignore[method-assign, assignment]
    case "never":
        pass
    case _:
        sys.exit(f"there is no point {point!r}")

main(["server", *sys.argv[1:]])
