"""A client's part in secure rounds: what it says in each phase, and the masks of its update. Nothing of it is kept from run to run."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bramble_client.deliver.link import Link, LinkDown, NoAnswer
from bramble_client.learn.pace import BrokenOff
from bramble_client.learn.trainer import Result
from bramble_client.worker import Worker
from bramble_protocol import BrambleError
from bramble_protocol.features import FEATURES, NOISE, SECURE
from bramble_protocol.messages import ClientUpdate, MaskedComplete, SecureSaid, SecureTold
from bramble_protocol.reasons import ALONE

if TYPE_CHECKING:
    from bramble_client.settings import ClientSettings
    from bramble_protocol.secure.party import Party, Whose

log = logging.getLogger(__name__)

ANSWER_S = 30.0
"""Seconds to wait for the server to take what was said; a phase lasts no longer."""
MOST = 16
"""Rounds that it may be in at once, one for each task."""


@dataclass(eq=False)
class _Round:
    update: ClientUpdate
    party: Party
    paired: bool = False
    """Whether all came that its masks are made of."""
    over: str | None = None
    """Why it takes no more part; None while it does."""

    def __str__(self) -> str:
        return f"round {self.update.round} of {self.update.task}"


def features() -> tuple[str, ...]:
    """Return what this client can do: secure sums where the package is there that they need."""
    return tuple(name for name in FEATURES if name not in (SECURE, NOISE) or find_spec("cryptography"))


def whose(settings: ClientSettings) -> Whose | None:
    """Return by what a client tells whose keys are whose, as its settings say.

    Raises
    ------
    BrambleError
        If it is to send its updates in secure sums and cannot, or a file is not what it should be.
    """
    if (settings.secure or settings.roll) and find_spec("cryptography") is None:
        raise BrambleError("secure: the package cryptography is not installed here: pip install 'bramble-fl[client,secure]'")
    if settings.roll is None or settings.identity is None:
        return None
    from bramble_protocol.secure.party import Whose
    from bramble_protocol.secure.roll import Identity, Roll

    known = Whose(Identity.read(settings.identity), Roll.read(settings.roll, settings.ca))
    if known.roll.keys.get(settings.id) != known.identity.public:
        raise BrambleError(f"roll: {settings.roll} does not have the key of {settings.identity} for {settings.id}; have it made anew")
    return known


class Summing(Worker):
    """Does what the phases of secure rounds ask, in a thread of its own, while another one trains.

    Parameters
    ----------
    me
        This client's id.
    link
        Carries what it says. A round does not outlive the connection.
    least
        Clients below which it lets no sum be opened.
    only
        Whether it sends updates in sums alone.
    whose
        By what it tells whose keys are whose, if it can.
    fail
        Told of a round that it leaves, with the reason and the task.
    """

    def __init__(self, me: str, link: Link, least: int, only: bool, whose: Whose | None, fail: Callable[[int, str, str], None]) -> None:
        super().__init__("summing")
        self._me, self._link, self._least, self._only, self._whose, self._fail = me, link, least, only, whose, fail
        self._changed = threading.Condition()
        self._rounds: dict[str, _Round] = {}
        """The newest of each task."""
        self._todo: deque[tuple[_Round, SecureTold | None]] = deque()

    def wake(self) -> None:
        """Look whether there is something to do."""
        with self._changed:
            self._changed.notify_all()

    def ask(self, update: ClientUpdate) -> str | None:
        """Begin its part in a round that is asked for, if that is a secure one; return why it does not take part. Does not block."""
        if update.secure is None:
            return f"this client sends its updates {ALONE} (--secure): have the server ask for one" if self._only else None
        with self._changed:
            former = self._rounds.get(update.task)
            if former is not None and former.update.secure == update.secure:
                return None
            if former is None and len(self._rounds) >= MOST:
                return f"busy: secure rounds of {MOST} other tasks are open here already"
            from bramble_protocol.secure.party import Party  # which needs cryptography, and memory

            noise = update.secure.noise
            least = max(self._least, noise.least) if noise else self._least  # so many shares of it hide each client
            party = Party(self._me, update.secure.context(update.task, update.round), least, self._whose)
            self._rounds[update.task] = begun = _Round(update, party)
            self._end(former, "a newer round came")
            self._todo.append((begun, None))
            self._changed.notify_all()
        return None

    def told(self, payload: Any) -> None:
        """Take what the server tells in a phase; does not block."""
        try:
            told = SecureTold.from_wire(payload)
        except BrambleError as error:
            log.error("a secure cannot be read: %s", error)
            return
        with self._changed:
            known = next((one for one in self._rounds.values() if one.update.round == told.round), None)
            if known is None:
                log.info("round %d: %s is asked for, and this client takes no part in it any more", told.round, told.phase)
                return
            self._todo.append((known, told))
            self._changed.notify_all()

    def over(self, number: int) -> None:
        """Take no more part in a round that goes on, or ended, without this client."""
        with self._changed:
            for one in list(self._rounds.values()):
                if one.update.round == number:
                    self._end(one, "the round is over")

    def forget(self) -> None:
        """Take no more part in anything: the connection ended, or everything begins anew."""
        with self._changed:
            for one in list(self._rounds.values()):
                self._end(one, "the connection ended, and who is gone from a secure round is gone for good")

    def masked(self, update: ClientUpdate, result: Result, wanted: Callable[[], bool]) -> Result:
        """Return a result whose answer is masked, once the masks can be made. Blocks while it is wanted.

        Raises
        ------
        BrokenOff
            If the round goes on without this client.
        BrambleError
            If its update cannot be put in words.
        """
        assert update.secure
        with self._changed:
            one = self._rounds.get(update.task)
            if one is None or one.update.secure != update.secure:
                raise BrokenOff("broken off: this client takes no part in it any more")
            while not one.paired and one.over is None and wanted():
                self._changed.wait(1.0)
            if not one.paired or one.over is not None:
                raise BrokenOff(f"broken off: {one.over or 'it is not wanted any more'}")
        done = result.complete
        words = one.party.mask(update.secure.encoding.encode(done.weights - update.base, done.samples, done.metrics, done.counts))
        return replace(result, complete=MaskedComplete(**{**vars(done), "words": words}))

    def run(self) -> None:
        """Do what is asked until told to stop."""
        while True:
            with self._changed:
                while not (self._todo or self._stopping.is_set()):
                    self._changed.wait()
                if self._stopping.is_set():
                    return
                one, told = self._todo.popleft()
            if one.over is None:
                self._do(one, told)

    def _do(self, one: _Round, told: SecureTold | None) -> None:
        try:
            said = self._said(one.party, told)
            with self._changed:
                one.paired = one.paired or (told is not None and told.phase == "masked")
                self._changed.notify_all()
            if said is not None:
                self._say(one, said)
            if told is not None and told.phase == "open":
                self._end(one, "its part is done")
        except BrambleError as error:
            self._leave(one, str(error))
        except Exception as error:
            log.exception("%s: its phase failed", one)
            self._leave(one, f"{type(error).__name__}: {error}")

    def _said(self, party: Party, told: SecureTold | None) -> tuple[str, bytes] | None:
        from bramble_protocol.secure.collector import split

        if told is None:
            return "keys", party.keys()
        if told.phase == "shares":
            return "shares", party.share(split(told.clients, told.data))
        if told.phase == "list":
            return "list", party.agree(told.clients)
        if told.phase == "open":
            return "open", party.unmask(split(told.clients, told.data))
        party.take(split(told.clients, told.data))
        return None

    def _say(self, one: _Round, said: tuple[str, bytes]) -> None:
        try:
            answer = self._link.call("secure", SecureSaid(one.update.round, *said).to_wire(), ANSWER_S)
        except (LinkDown, NoAnswer) as error:
            log.warning("%s: it goes on without this client: %s", one, error)
            self._end(one, str(error))
            return
        if not (isinstance(answer, dict) and answer.get("accepted")):
            reason = str(answer.get("reason") or "without a reason")[:500] if isinstance(answer, dict) else "without a reason"
            log.warning("%s: the server refused its %s: %s", one, said[0], reason)
            self._end(one, f"the server refused its {said[0]}: {reason}")

    def _leave(self, one: _Round, reason: str) -> None:
        self._end(one, reason)
        self._fail(one.update.round, reason, one.update.task)

    def _end(self, one: _Round | None, why: str) -> None:
        with self._changed:
            if one is not None and one.over is None:
                one.over = why
                if self._rounds.get(one.update.task) is one:  # with it goes its model
                    del self._rounds[one.update.task]
                self._changed.notify_all()
