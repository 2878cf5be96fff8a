"""The handlers of what clients say: the port's receiver. Who may connect is decided by admission, what happens by the coordinator."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from bramble_protocol import health
from bramble_protocol.errors import BrambleError, StaleError
from bramble_protocol.health import Health
from bramble_protocol.messages import MASKED, DataUpdate, Delivery, Evaluated, Masked, Notice, SecureSaid, TrainingFailed
from bramble_protocol.printable import printable
from bramble_server.fleet import plausibility
from bramble_server.fleet.admission import Admission
from bramble_server.fleet.rate_limited_log import RateLimitedLog
from bramble_server.fleet.registry import Client, Registry
from bramble_server.fleet.reported import TWO
from bramble_server.loop import Loop
from bramble_server.metrics import Metrics
from bramble_server.rounds.coordinator import Coordinator
from bramble_server.rounds.machine import Failed, Said
from bramble_server.rounds.roundfile import RoundFileError
from bramble_server.rounds.writer import InternalError, RefusedError
from bramble_server.store import StoreError
from bramble_server.transport.emitter import Emitter
from bramble_server.transport.port import UNANSWERED, NotAdmittedError, Transport

_NAMESAKE = Notice("name", TWO)
_NEWCOMER = Notice("name", "another client with this name has just taken this one's place; if both are to run, give each an id of its own")
OURS = (InternalError, StoreError, RoundFileError)
"""Errors that are not the client's fault, and perhaps over soon."""


class Handlers:
    """One handler for each event that a client sends. Every one answers, whatever comes, and names what it refuses."""

    def __init__(
        self, transport: Transport, loop: Loop, admission: Admission, registry: Registry, coordinator: Coordinator, emitter: Emitter,
        metrics: Metrics, limited_log: RateLimitedLog,
    ) -> None:  # fmt: skip
        self._transport, self._loop = transport, loop
        self._admission, self._registry, self._coordinator, self._emitter = admission, registry, coordinator, emitter
        self._metrics, self._limited_log, self._arrivals = metrics, limited_log, RateLimitedLog()
        self._events: dict[str, Callable[..., Any]] = {
            "training_complete": self.training_complete,
            "training_failed": self.training_failed,
            "secure": self.secure,
            "evaluated": self.evaluated,
            "data_update": self.data_update,
            health.EVENT: self.health,
        }

    def complain(self, session: str | None, address: str, sentence: str) -> None:
        """Log a client's fault that ended its connection."""
        name = session and self._registry.name(session)
        self._limited_log.about(name or f"a connection from {address}", sentence, address=address)

    def receive(self, session: str, event: str, payload: tuple[Any, ...]) -> Any:
        """Take what a client says."""
        handler = self._events.get(event)
        return handler(session, *payload) if handler else self.unknown(session, event)

    def connect(self, session: str, address: str, auth: Any) -> None:
        """Take a client in, or refuse it with a sentence."""
        try:
            hello = self._admission.check(auth, address)
        except BrambleError as error:
            self._limited_log.about(self._admission.name_of(auth, address), f"handshake refused: {error}", address=address)
            for name in self._found(address):
                self._emitter.notice(name, _NAMESAKE)
            raise NotAdmittedError(printable(str(error))) from None
        before = self._registry.get(hello.client_id)
        if before and before.sid and before.mark != (hello.instance or address):
            # Heard by whoever still runs under this id, and by nobody where the client itself was restarted.
            self._emitter.notice(hello.client_id, _NEWCOMER)
        former = self._registry.join(hello, session, address)
        if former:
            self._limited_log.about(hello.client_id, "a new connection takes the place of the one it had", address=address)
            self._transport.close(former)
        self._arrivals.about(hello.client_id, f"connected from {address}", logging.INFO, address=address)
        self._coordinator.joined(hello.client_id)
        self._found(address)
        # beside this, for it goes out only once the handshake is accepted
        self._loop.spawn(partial(self._greet, hello.client_id))

    def _found(self, address: str) -> list[str]:
        """Return the ids that two clients were just found to share; it is logged once."""
        found = self._admission.found()
        for name in found:
            self._limited_log.about(name, TWO, address=address)
            self._registry.chronicle.note(name, self._registry.clock.time(), "namesake", TWO)
            self._coordinator.listed()
        return found

    def _greet(self, name: str) -> None:
        """Tell a client that has just come what keeps it from taking part as it should."""
        client = self._registry.get(name)
        if client and client.idle:
            self._limited_log.about(name, client.idle, address=client.address)
            self._emitter.notice(name, Notice("channels", f"this client {client.idle}"))
        if client and self._registry.namesakes.since(name, self._registry.clock.time()):
            self._emitter.notice(name, _NAMESAKE)

    def disconnect(self, session: str, reason: str) -> None:
        """Note that a connection ended."""
        client = self._registry.leave(session)
        if client:
            known = self._registry.get(client)
            self._arrivals.about(client, f"left ({reason})", logging.INFO, address=known.address if known else None)
            self._coordinator.left(client)

    def training_complete(self, sid: str, *payload: Any) -> Any:
        """Take an update."""

        def take(client: Client, value: Any) -> dict[str, Any]:
            try:
                number = value.get("round") if isinstance(value, dict) else None
                manifest = self._coordinator.manifest(number if type(number) is int else 0)
                masked = isinstance(value, dict) and value.get("encoding") == MASKED
                delivery = (Masked if masked else Delivery).from_wire(value, manifest.layout)
                plausibility.metrics(delivery.metrics)
                plausibility.counts(delivery.counts, manifest)
                self._coordinator.deliver(client.id, delivery)
            except RefusedError as error:
                self._metrics.update(error.code)
                raise
            except StaleError:  # of a round of that number before the server began anew: it says nothing of the open one
                self._metrics.update("round over")
                raise
            except BrambleError as error:
                self._metrics.update("invalid")
                self._refused(client, number, "update", error)
                raise
            self._metrics.update("accepted")
            return {"accepted": True}

        return self._answer(sid, "training_complete", False, payload, take)

    def _refused(self, client: Client, number: Any, what: str, error: BrambleError) -> None:
        """Have a round not wait for a client whose part in it was refused."""
        if not isinstance(error, OURS):
            known = type(number) is int and 0 < number <= 2**53  # of any other nobody can say whether it is over
            self._coordinator.refused(client.id, number if known else None, f"its {what} was refused: {printable(str(error))}")

    def secure(self, sid: str, *payload: Any) -> Any:
        """Take a client's part in a phase of a secure round."""

        def take(client: Client, value: Any) -> dict[str, Any]:
            said = SecureSaid.from_wire(value)
            try:
                self._coordinator.say(Said(client.id, said.round, said.phase, said.data))
            except RefusedError:
                raise
            except BrambleError as error:
                self._refused(client, said.round, f"part in the phase {said.phase}", error)
                raise
            return {"accepted": True}

        return self._answer(sid, "secure", False, payload, take)

    def training_failed(self, sid: str, *payload: Any) -> Any:
        """Take the word of a client that it will not train, and why."""

        def take(client: Client, value: Any) -> dict[str, Any]:
            failed = TrainingFailed.from_wire(value)
            self._coordinator.say(Failed(client.id, failed.round, printable(failed.reason)))
            return {"accepted": True}

        return self._answer(sid, "training_failed", False, payload, take)

    def evaluated(self, sid: str, *payload: Any) -> Any:
        """Take what a client found when it tried models."""

        def take(client: Client, value: Any) -> dict[str, Any]:
            found = Evaluated.from_wire(value)
            plausibility.metrics({"baseline": found.baseline, **found.errors})
            self._coordinator.evaluations.take(client.id, found)
            return {"accepted": True}

        return self._answer(sid, "evaluated", False, payload, take)

    def data_update(self, sid: str, *payload: Any) -> Any:
        """Take mirrored readings."""

        def take(client: Client, value: Any) -> dict[str, Any]:
            update = DataUpdate.from_wire(value)
            plausibility.channels(client, update)
            count = self._coordinator.mirror(client.id, update)
            self._registry.seen(client.sid or "", update.cycle)
            self._metrics.readings(count)
            return {"accepted": count}

        return self._answer(sid, "data_update", 0, payload, take)

    def health(self, sid: str, *payload: Any) -> Any:
        """Take a client's report on itself and its machine."""

        def take(client: Client, value: Any) -> dict[str, Any]:
            told, before = Health.from_wire(value), client.health.drifted if client.health else {}
            if self._registry.report(client.id, told):
                self._coordinator.listed()
            if risen := [task for task, since in told.drifted.items() if before.get(task) != since]:
                self._coordinator.drifted(client.id, risen)
            return {"accepted": True}

        return self._answer(sid, health.EVENT, False, payload, take)

    def unknown(self, sid: str, event: Any) -> Any:
        """Refuse an event that is not in the contract."""

        def take(client: Client, value: Any) -> dict[str, Any]:
            raise BrambleError(f"unknown event {printable(str(event))[:60]!r}")

        return self._answer(sid, "event", False, (None,), take)

    def _answer(
        self, sid: str, event: str, nothing: bool | int, payload: tuple[Any, ...], take: Callable[[Client, Any], dict[str, Any]]
    ) -> Any:
        client = self._registry.seen(sid)
        if client is None:
            return {"accepted": nothing, "reason": "this connection was replaced by a newer one"}
        if event != "event":
            self._registry.chronicle.came(client.id, event, size_of(payload))
        try:
            if len(payload) != 1:
                raise BrambleError(f"{event}: expected one object, got {len(payload)} arguments")
            return take(client, payload[0])
        except OURS as error:
            # Without an acknowledgement it keeps what it has, and comes again.
            if not isinstance(error, StoreError):  # which the store says itself, once for all
                self._limited_log.about(client.id, f"its {event} could not be taken: {error}", logging.ERROR, address=client.address)
            return UNANSWERED
        except BrambleError as error:
            reason = printable(str(error))
            self._limited_log.about(client.id, f"{event} refused: {reason}", address=client.address)
            return {"accepted": nothing, "reason": reason}
        except Exception as error:
            sentence = f"its {event} failed; nothing else is affected"
            self._limited_log.about(client.id, sentence, logging.ERROR, address=client.address, error=error)
            return UNANSWERED


def size_of(payload: Any) -> int:
    """Return how many bytes a message takes: attachments as they are, anything else as JSON."""
    attached = 0

    def length(value: Any) -> Any:
        nonlocal attached
        attached += memoryview(value).nbytes
        return None

    try:
        return len(json.dumps(payload, default=length, separators=(",", ":"), ensure_ascii=False)) + attached
    except (TypeError, ValueError, RecursionError):
        return attached  # what is no message of the contract is refused beside this
