"""The client: wires its parts together, and says what one does with what another hands over."""

from __future__ import annotations

import contextlib
import logging
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bramble_protocol
from bramble_client.acquire.cycles import Cycles
from bramble_client.acquire.recorder import Recorder, to_the_minute
from bramble_client.acquire.self_paced import SelfPaced
from bramble_client.allowance import Allowance, Bounds
from bramble_client.deliver.courier import Courier
from bramble_client.deliver.download import GraphDownload, patiently
from bramble_client.deliver.home_assistant import HomeAssistant, Own
from bramble_client.deliver.inbox import Inbox
from bramble_client.deliver.link import Link
from bramble_client.deliver.outbox import Item, Outbox
from bramble_client.deliver.receipt import Receipt
from bramble_client.evaluating import Evaluating, alone
from bramble_client.forgetting import Forgetting
from bramble_client.hal import Board
from bramble_client.hal.gpio import Status
from bramble_client.learn.graph_trust import GraphTrust, read_keys
from bramble_client.learn.runner import Runner
from bramble_client.learn.trainer import Trainer
from bramble_client.machine import health
from bramble_client.machine.budgets import Budgets
from bramble_client.machine.hours import Hours
from bramble_client.machine.report import Reporter
from bramble_client.machine.strain import Strain
from bramble_client.machine.traffic import Traffic
from bramble_client.participation import Participation
from bramble_client.summing import Summing, features, whose
from bramble_client.use.attention import Attention
from bramble_client.use.latest import NAME, Latest
from bramble_protocol.clock import Clock
from bramble_protocol.kinds import LABEL
from bramble_protocol.messages import Channel, Handshake

if TYPE_CHECKING:
    from bramble_client.settings import ClientSettings

log = logging.getLogger(__name__)

STALL_S = 60.0
"""Seconds beyond three sampling intervals after which a sensor that does not come back hangs; a bus with time-outs is slow, not dead."""


class Agent:
    """One client, from its sensors to its link.

    Parameters
    ----------
    settings
        As configured.
    board
        Its sensors; closed by whoever opened them.
    folder
        Where it keeps its data; nobody else uses it.
    token
        Shown to the server.
    tls
        Returns what verifies the server, for ``https``.
    clock
        What time it is for all of its parts; the sensors have their own.
    """

    def __init__(
        self,
        settings: ClientSettings,
        board: Board,
        folder: Path,
        token: str | None,
        tls: Callable[[], ssl.SSLContext] | None,
        clock: Clock = time,
    ) -> None:
        self._settings, self._clock = settings, clock
        self._board, self._folder = board, folder
        self._private = settings.mode == "private"
        self._recorder = Recorder(folder / "readings.db", settings.keep_samples, clock=clock)
        self._outbox = Outbox(folder / "outbox.db", clock=clock)
        channels = (*board.channels, Channel(LABEL, "")) if settings.classes or board.said else board.channels
        hello = Handshake(
            bramble_protocol.VERSION, settings.id, token, board.simulated, channels, settings.version, features(), secrets.token_hex(8),
            settings.group,
        )  # fmt: skip
        allowance = Allowance(folder, Bounds(settings.clip, settings.noise, settings.epsilon, settings.delta))
        self._receipt = Receipt(folder, settings.server, clock, allowance.told)
        self._link = Link(
            settings.server,
            hello.to_wire(),
            older=replace(hello, protocol=1).to_wire(),
            tls=tls,
            proxy=settings.proxy,
            longest_pause=settings.reconnect_max,
            leaves=self._receipt.leaves,
            clock=clock,
        )
        download = GraphDownload(settings.server, token, tls, proxy=settings.proxy, clock=clock)
        graphs, signatures = (patiently(fetch, self._link.wait_up) for fetch in (download, download.signatures))
        trust = GraphTrust(read_keys(settings.trust_graphs)) if settings.graphs_are_checked else None
        self._runner = Runner(settings.training_memory, clock)
        self._trainer = Trainer(
            folder, graphs, settings.id, self._runner, lambda graph: trust.check(graph, signatures) if trust else None, clock,
            self._labels, settings.forget_on_drift,
        )  # fmt: skip
        utc = clock.time if board.simulated else board.utc  # simulated sensors may live in another year
        self._traffic = Traffic(folder, lambda: self._link.carried + download.carried, utc)
        hours = None if settings.train_between is None else Hours.parse(settings.train_between)
        self._budgets = Budgets(
            hours, settings.monthly_bytes, settings.steady_power, settings.least_battery, self._traffic,
            lambda: health.read(folder), utc,
        )  # fmt: skip
        self._rehearsing = False
        self._cycles = Cycles(board, self._recorder, self._outbox)
        mirrored = None if self._private else self._outbox
        self._paced = SelfPaced(board, self._recorder, mirrored, clock) if settings.self_paced else None
        self._reporter = Reporter(
            self._link,
            folder,
            self._paced,
            lambda: board.gone,
            lambda: self._recorder.trouble,
            lambda: board.doubted,
            lambda: None if settings.bounded else self._trainer.doubtful,
            lambda: self._strain.slow,
            self._budgets.rest,
            self._budgets.left,
            lambda: None if settings.bounded else self.attention.alarms,
            lambda: ({}, {}) if settings.bounded else (self._forecaster.in_use, self._forecaster.drifted),
            lambda: self._training.first_training,
            clock,
        )
        self._strain = Strain(folder, self._reporter.wake)
        self.attention = Attention(settings.classes, settings.ask_daily, self._recorder.labels, self._recorder)
        """What an answer calls for on the spot; whoever has a lamp sets its ``ask``."""
        part = Participation(
            self._trainer, self._recorder, self._outbox, self._cycles if board.simulated else None, self._strain, self._halted,
            Latest((settings.shown or folder) / NAME, settings.id, utc), self.attention, allowance,
            private=self._private, serves=download.serves, clock=clock,
        )  # fmt: skip
        self._training, self._forecaster = part.queue, part.forecaster
        self._summing = Summing(settings.id, self._link, settings.secure_least, settings.secure, whose(settings), part.queue.fail)
        part.masked = self._summing.masked
        self._recorder.appended = self._forecaster.wake
        self._courier = Courier(self._outbox, self._link, part.accepted, sparing=lambda: self._budgets.spent)
        self._home = self._told_at_home(part)
        self._workers = tuple(
            filter(
                None, (self._training, self._summing, self._forecaster, self._cycles, self._courier, self._link, self._reporter, self._home)
            )
        )
        self.reset = Forgetting(
            folder,
            self._recorder,
            self._outbox,
            part.memory,
            self._training,
            self._cycles,
            self._paced,
            part.forecaster,
            self.attention,
            *filter(None, (self._home,)),
        )
        evaluating = Evaluating(self._trainer, self._recorder, self._outbox, part, self._halted, self._private, alone(settings), clock)
        self._inbox = Inbox(self._training, None if self._private else self._cycles.ask, self.reset, evaluating, self._summing)
        for event, handler in self._inbox.events.items():
            self._link.on(event, handler)
        self._greeted = False
        self._link.on_up(self._came_up)

    def start(self) -> None:
        """Begin; returns at once."""
        self._say_what_is_here()
        for worker in self._workers:
            worker.start()
        if self._paced is not None:
            self._paced.start()

    def rehearse(self, request: Any, within: float) -> Item | None:
        """Answer a request as in a round, with no server and nothing else started; return the answer, or None if it takes too long."""
        until = self._clock.monotonic() + within
        self._rehearsing = True
        self._training.start()
        self._inbox.client_update(request)
        while (answer := self._outbox.answer()) is None and (left := until - self._clock.monotonic()) > 0:
            self._outbox.wait(left)
        return answer

    @property
    def recorder(self) -> Recorder:
        """The local store of its readings."""
        return self._recorder

    def _say_what_is_here(self) -> None:
        span = self._recorder.span()
        if span is None:
            return
        count, first, last = (span[0], *map(to_the_minute, span[1:]))
        how = f"delete {self._folder}, or take another --data-dir, to begin anew"
        log.info("going on with %d samples of %s from %s to %s; %s", count, self._settings.id, first, last, how)

    def hangs(self) -> str | None:
        """Return which part does not get on with its work, or None: what feeds the watchdog is that all of them do."""
        for worker in self._workers:
            if not worker.alive:
                return worker.name
        stuck = self._paced.stuck(STALL_S) if self._paced is not None else None
        return f"sampling of sensor {stuck}" if stuck else None

    def status(self) -> Status:
        """Return what the LED should show."""
        if self._training.running:
            return Status.TRAINING
        if self._training.failing or self._board.gone or self.hangs():
            return Status.ERROR
        if self.attention.alarming:
            return Status.ALARM
        return Status.CONNECTED if self._link.up else Status.CONNECTING

    def label(self, label: str, t: float) -> None:
        """Note what a person says is being measured."""
        if self._paced is None:
            self._recorder.label(t, label)
        else:
            self._paced.label(t, label)

    def _labels(self) -> list[tuple[float, str]]:
        """Return what was said by the button; where nobody pressed it, what a replayed recording says."""
        span = self._recorder.span()
        return self._recorder.labels() or (self._board.said(*span[1:]) if self._board.said and span else [])

    def stop(self) -> None:
        """End within 4 s. What was not delivered stays in the outbox."""
        self._link.stop(1.0)
        self._reporter.stop(0.5)
        self._courier.stop(1.0)
        self._cycles.stop(0.5)
        if self._paced is not None:
            self._paced.stop(0.5)
        self._forecaster.stop(0.5)
        self._training.stop(1.0)
        self._summing.stop(0.5)
        if self._home is not None:
            self._home.stop(0.5)
        self.close()

    def close(self) -> None:
        """End the training process, and let go of the databases."""
        self._runner.close()
        self._training.stop(0.5)
        self._traffic.keep()
        self._receipt.close()
        self._recorder.close()
        self._outbox.close()

    def _told_at_home(self, part: Participation) -> HomeAssistant | None:
        """Have the household's broker told of what there is, if its owner named one."""
        if self._settings.mqtt is None:
            return None
        every = max(pace.every if pace.rate is None else 1 / pace.rate for pace in self._board.paces) if self._settings.self_paced else None
        home = HomeAssistant(self._settings, self._board.channels, every, self._of_itself)
        self._recorder.heard, part.told = home.measured, home.told
        return home

    def _of_itself(self) -> Own:
        gone, doubted = self._board.gone, self._board.doubted
        return (bool(gone or doubted), {"gone": gone, "doubted": doubted}), (self._link.up, None), (self._training.running, None)

    def _halted(self) -> str | None:
        """Return why it may not train now; whether it can at all is tried at any hour."""
        rest = None if self._rehearsing else self._budgets.rest()
        if rest is None:
            return None
        self._reporter.wake()
        return str(rest)

    def _came_up(self) -> None:
        if not self._greeted:
            with contextlib.suppress(OSError):  # whoever read it may be gone
                print(f"bramble client {self._settings.id} connected to {self._settings.server}", flush=True)
        self._greeted = True
        self._summing.forget()  # what it began over the connection before
        self._reporter.wake()
        self._training.look_again()
        self._outbox.wake()
