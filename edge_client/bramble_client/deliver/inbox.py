"""What the server sends: it is read, and handed to whoever does it. What cannot be read is answered where a round waits for an answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bramble_protocol import BrambleError
from bramble_protocol.fields import CLIENT_ID
from bramble_protocol.messages import ClientUpdate, Evaluate, GenerateData, Notice, Reset, RoundOver

log = logging.getLogger(__name__)


class Rounds(Protocol):
    """Who trains for rounds, as :class:`bramble_client.learn.training_queue.TrainingQueue` does it."""

    def ask(self, update: ClientUpdate) -> None:
        """Train; does not block."""

    def fail(self, round_number: int, reason: str, task: str = "") -> None:
        """Answer a request that cannot even be tried."""

    def over(self, round_number: int) -> None:
        """Do no more for a round."""


class Evaluations(Protocol):
    """Who tries models, as :class:`bramble_client.evaluating.Evaluating` does it."""

    def ask(self, asked: Evaluate) -> None:
        """Try models; does not block."""

    def fail(self, number: int, reason: str) -> None:
        """Answer a request that cannot even be tried."""


class Sums(Protocol):
    """Who takes part in secure rounds, as :class:`bramble_client.summing.Summing` does it."""

    def ask(self, update: ClientUpdate) -> str | None:
        """Begin a part, or say why not; does not block."""

    def told(self, payload: Any) -> None:
        """Take what the server tells in a phase; does not block."""

    def over(self, number: int) -> None:
        """Take no more part in a round."""


class Inbox:
    """Reads each event of the contract. Nothing that a server sends makes it raise.

    Parameters
    ----------
    rounds
        Takes requests of rounds.
    generate
        Takes batches of readings; None: this client sends none, whoever asks.
    reset
        Forgets everything, or what belongs to one task.
    evaluations
        Takes requests of evaluations.
    sums
        Takes the phases of secure rounds.
    """

    def __init__(
        self, rounds: Rounds, generate: Callable[[GenerateData], None] | None, reset: Callable[[str | None], None],
        evaluations: Evaluations, sums: Sums,
    ) -> None:  # fmt: skip
        self._rounds, self._generate, self._reset, self._evaluations, self._sums = rounds, generate, reset, evaluations, sums
        self._declined = False
        self._noticed: dict[str, str] = {}

    @property
    def events(self) -> Mapping[str, Callable[[Any], None]]:
        """What takes each event."""
        handlers = (self.client_update, self.secure, self.round_over, self.evaluate, self.generate_data, self.reset, self.notice)
        return {handler.__name__: handler for handler in handlers}

    def client_update(self, payload: Any) -> None:
        """Train from the weights that came."""
        try:
            update = ClientUpdate.from_wire(payload)
        except BrambleError as error:
            number, task = (payload.get("round"), payload.get("task")) if isinstance(payload, dict) else (None, None)
            if type(number) is int and number >= 1:
                named = task if isinstance(task, str) and CLIENT_ID.fullmatch(task) else ""
                self._rounds.fail(number, f"the request cannot be read: {error}", named)
            else:
                log.error("a client_update cannot be read: %s", error)
            return
        if refused := self._sums.ask(update):
            self._rounds.fail(update.round, refused, update.task)
        else:
            self._rounds.ask(update)

    def secure(self, payload: Any) -> None:
        """Do what a phase of a secure round asks."""
        self._sums.told(payload)

    def round_over(self, payload: Any) -> None:
        """Stop training for a round that goes on without this client."""
        try:
            over = RoundOver.from_wire(payload)
        except BrambleError as error:
            log.error("a round_over cannot be read: %s", error)
            return
        self._rounds.over(over.round)
        self._sums.over(over.round)

    def evaluate(self, payload: Any) -> None:
        """Try models on readings that they were not trained on."""
        try:
            asked = Evaluate.from_wire(payload)
        except BrambleError as error:
            number = payload.get("evaluation") if isinstance(payload, dict) else None
            if type(number) is int and number >= 1:
                self._evaluations.fail(number, f"the request cannot be read: {error}")
            else:
                log.error("an evaluate cannot be read: %s", error)
            return
        self._evaluations.ask(asked)

    def generate_data(self, payload: Any) -> None:
        """Take a synchronised batch of readings and mirror it; in private mode do neither."""
        if self._generate is None:
            if not self._declined:
                log.warning("the server asks for readings; this client runs in private mode and sends none")
            self._declined = True
            return
        try:
            self._generate(GenerateData.from_wire(payload))
        except BrambleError as error:
            log.error("a generate_data cannot be read: %s", error)

    def reset(self, payload: Any = None) -> None:
        """Forget."""
        try:
            task = Reset.from_wire({} if payload is None else payload).task
        except BrambleError as error:
            log.error("a reset cannot be read: %s", error)
            return
        self._reset(task)

    def notice(self, payload: Any) -> None:
        """Log what the server has to say to whoever looks after this client; the same at every connection only once."""
        try:
            notice = Notice.from_wire(payload)
        except BrambleError as error:
            log.error("a notice cannot be read: %s", error)
            return
        if self._noticed.get(notice.about) != notice.sentence:
            self._noticed[notice.about] = notice.sentence
            log.warning("the server says: %s", notice.sentence)
