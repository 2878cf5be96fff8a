"""The client: wires its parts together, and says what to do about each event."""

from __future__ import annotations

import contextlib
import logging
import queue
import secrets
import signal
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import bramble_protocol
from bramble_client.acquire import belonging, data_updates
from bramble_client.acquire.cycles import Cycles
from bramble_client.acquire.recorder import Recorder, to_the_minute
from bramble_client.acquire.self_paced import SelfPaced
from bramble_client.commands import startup
from bramble_client.deliver.courier import Courier
from bramble_client.deliver.download import DownloadFailed, GraphDownload
from bramble_client.deliver.link import Link
from bramble_client.deliver.outbox import Item, Outbox
from bramble_client.hal import Board
from bramble_client.hal.gpio import Status
from bramble_client.learn.graph_trust import GraphTrust, read_keys
from bramble_client.learn.measures import guarded
from bramble_client.learn.memory import Memory
from bramble_client.learn.runner import Runner
from bramble_client.learn.trainer import Result, Trainer
from bramble_client.learn.training_queue import TrainingQueue
from bramble_client.machine import allocator, disk
from bramble_client.machine.frontpanel import open_panel
from bramble_client.machine.report import Reporter
from bramble_protocol import BrambleError
from bramble_protocol.features import FEATURES
from bramble_protocol.fields import CLIENT_ID
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import Channel, ClientUpdate, GenerateData, Handshake, Notice, Reset, forecast_of
from bramble_protocol.notify import notify, watchdog_interval

if TYPE_CHECKING:
    from bramble_client.settings import ClientSettings

log = logging.getLogger(__name__)

STALL_S = 60.0
"""Seconds beyond three sampling intervals after which a sensor that does not come back hangs; a bus with time-outs is slow, not dead."""
FETCHES, FETCH_WAIT_S = 3, 60.0
"""Attempts to fetch a graph, and seconds that each waits for the link."""


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
    """

    def __init__(
        self, settings: ClientSettings, board: Board, folder: Path, token: str | None, tls: Callable[[], ssl.SSLContext] | None
    ) -> None:
        self._settings = settings
        self._board, self._folder = board, folder
        self._private = settings.mode == "private"
        self._recorder = Recorder(folder / "readings.db", settings.keep_samples)
        self._outbox = Outbox(folder / "outbox.db")
        self._download = GraphDownload(settings.server, token, tls, proxy=settings.proxy)
        self._trust = GraphTrust(read_keys(settings.trust_graphs)) if settings.graphs_are_checked else None
        self._runner = Runner(settings.training_memory)
        self._trainer = Trainer(folder, self._fetch, settings.id, self._runner, self._approve)
        hello = Handshake(
            bramble_protocol.VERSION, settings.id, token, board.simulated, board.channels, settings.version, FEATURES, secrets.token_hex(8)
        )
        self._link = Link(
            settings.server,
            hello.to_wire(),
            older=replace(hello, protocol=1).to_wire(),
            tls=tls,
            proxy=settings.proxy,
            longest_pause=settings.reconnect_max,
        )
        self._courier = Courier(self._outbox, self._link, self._accepted)
        self._training = TrainingQueue(self._train, self._outbox, self._trained)
        self._cycles = Cycles(board, self._recorder, self._outbox, utc=board.utc)
        self._paced = SelfPaced(board, self._recorder, None if self._private else self._outbox) if settings.self_paced else None
        self._reporter = Reporter(
            self._link,
            folder,
            self._paced,
            lambda: board.gone,
            lambda: self._recorder.trouble,
            lambda: board.doubted,
            lambda: self._trainer.doubtful,
        )
        self._workers = (self._training, self._cycles, self._courier, self._link, self._reporter)
        self._memory = Memory(self._recorder)
        self._noting = threading.Lock()
        """Held while a reset forgets, and while an acceptance is noted: the one must not come in between the other."""
        self._greeted = False
        self._declined = False
        self._noticed: dict[str, str] = {}
        for handler in (self.client_update, self.generate_data, self.reset, self.notice):
            self._link.on(handler.__name__, handler)
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
        until = time.monotonic() + within
        self._training.start()
        self.client_update(request)
        while (answer := self._outbox.answer()) is None and (left := until - time.monotonic()) > 0:
            self._outbox.wait(left)
        return answer

    @property
    def recorder(self) -> Recorder:
        """What keeps its readings."""
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
        return Status.CONNECTED if self._link.up else Status.CONNECTING

    def label(self, label: str, t: float) -> None:
        """Note what a person says is being measured."""
        if self._paced is None:
            self._recorder.label(t, label)
        else:
            self._paced.label(t, label)

    def stop(self) -> None:
        """End within 4 s. What was not delivered stays in the outbox."""
        self._link.stop(1.0)
        self._reporter.stop(0.5)
        self._courier.stop(1.0)
        self._cycles.stop(0.5)
        if self._paced is not None:
            self._paced.stop(0.5)
        self._training.stop(1.0)
        self.close()

    def close(self) -> None:
        """End the training process, and let go of the databases."""
        self._runner.close()
        self._training.stop(0.5)
        self._recorder.close()
        self._outbox.close()

    def client_update(self, payload: Any) -> None:
        """Train from the weights that came."""
        try:
            update = ClientUpdate.from_wire(payload)
        except BrambleError as error:
            number, task = (payload.get("round"), payload.get("task")) if isinstance(payload, dict) else (None, None)
            if type(number) is int and number >= 1:
                named = task if isinstance(task, str) and CLIENT_ID.fullmatch(task) else ""
                self._training.fail(number, f"the request cannot be read: {error}", named)
            else:
                log.error("a client_update cannot be read: %s", error)
            return
        self._training.ask(update)

    def generate_data(self, payload: Any) -> None:
        """Take a synchronised batch of readings and mirror it; in private mode do neither."""
        if self._private:
            if not self._declined:
                log.warning("the server asks for readings; this client runs in private mode and sends none")
            self._declined = True
            return
        try:
            self._cycles.ask(GenerateData.from_wire(payload))
        except BrambleError as error:
            log.error("a generate_data cannot be read: %s", error)

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

    def reset(self, payload: Any = None) -> None:
        """Forget readings, labels, results, and how far they were tested; where one task is named, what belongs to it, and no reading."""
        try:
            task = Reset.from_wire({} if payload is None else payload).task
        except BrambleError as error:
            log.error("a reset cannot be read: %s", error)
            return

        def clear() -> None:
            with self._noting:
                self._outbox.clear(task)
                if task is None:
                    self._recorder.clear()
                self._memory.forget(task)

        paced = self._paced
        everything = clear if paced is None else lambda: paced.forget(clear)
        try:
            self._training.forget(clear if task else lambda: self._cycles.forget(everything), task)
        except sqlite3.Error as error:
            why = disk.remedy(self._folder, error)
            log.error("reset: what is on the disk cannot be forgotten (%s); reset again when it takes changes", why)
            return
        log.info("reset: %s forgotten", f"results of task {task} are" if task else "local readings and results are")

    def _train(self, update: ClientUpdate, received: float) -> Result:
        if self._board.simulated:  # readings that the server asked for before this round belong into it
            self._cycles.wait(update.config.deadline_s / 2)
        noted, until = self._memory.local_state(update.task), self._memory.tested_until(update.task)
        result = self._trainer.run(update, self._recorder.columns, until, received, noted, lambda: self._training.wanted)
        return guarded(result, self._memory.untold(update.task)) if self._private else result

    def _fetch(self, sha256: str) -> bytes:
        return self._patiently(self._download, sha256)

    def _approve(self, graph: GraphFile) -> None:
        if self._trust is not None:
            self._trust.check(graph, lambda sha256: self._patiently(self._download.signatures, sha256))

    def _patiently(self, fetch: Callable[[str], bytes], sha256: str) -> bytes:
        """Fetch what belongs to a graph; when the network fails meanwhile, again once it is back."""
        for _ in range(FETCHES - 1):
            self._link.wait_up(FETCH_WAIT_S)
            try:
                return fetch(sha256)
            except DownloadFailed as error:
                if not error.passing:
                    raise
                log.info("%s; fetching it again", error)
        return fetch(sha256)

    def _trained(self, update: ClientUpdate, result: Result) -> None:
        """Mirror the forecasts, stamped with the time they are for."""
        if self._private or not result.forecasts:
            return
        manifest = self._trainer.graphs.get(update.graph).manifest
        target = next(channel for channel in manifest.channels if channel.key == manifest.target)
        channel = Channel(update.forecast or forecast_of(target.key), target.unit)
        for message in data_updates.forecasts(channel, result.forecasts):
            self._outbox.put_readings(f"forecasts of {update.task} from {message.t[0]!r}", "data_update", message.to_wire())

    def _accepted(self, item: Item) -> None:
        if item.event == "training_complete":
            log.info("round %d%s: the server took this client's update", item.payload["round"], item.task and f" of {item.task}")
            with self._noting:
                if self._outbox.holds(item):
                    # only now: what a lost or late result was tested on may be tested again, by the next global model
                    self._memory.note(item.task, item.note)

    def _came_up(self) -> None:
        if not self._greeted:
            with contextlib.suppress(OSError):  # whoever read it may be gone
                print(f"bramble client {self._settings.id} connected to {self._settings.server}", flush=True)
        self._greeted = True
        self._reporter.wake()
        self._outbox.wake()


def run(settings: ClientSettings) -> int:
    """Run a client until SIGINT or SIGTERM; return the exit code.

    Raises
    ------
    BrambleError
        If a setting turns out to be unusable. A server that does not answer is no reason to end.
    """
    allocator.frugal()
    asked_to_stop: queue.SimpleQueue[int] = queue.SimpleQueue()  # its `put` may be called from a signal handler
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, frame: asked_to_stop.put(received))
    token = startup.read_token(settings.token_file) if settings.token_file else None
    tls = startup.Authorities(settings.ca) if settings.server.startswith("https:") else None
    if token and tls is None and urlsplit(settings.server).hostname not in ("127.0.0.1", "localhost", "::1"):
        log.warning("the token goes to %s unencrypted; anyone on the network can read it", settings.server)
    with startup.exclusive(settings.folder) as folder:
        if settings.fleet_file and (fleet := belonging.read_fleet(settings.fleet_file)):
            belonging.claim(folder, fleet, settings.keep_samples, settings.adopt_readings)
        board = startup.open_sensors(settings)
        try:
            agent = Agent(settings, board, folder, token, tls)
            panel = open_panel(settings, folder, agent.status, agent.label, agent.reset)
            agent.start()
            if panel is not None:
                panel.start()
            notify(READY=1)
            _watch(agent, asked_to_stop)
            notify(STOPPING=1)
            if panel is not None:
                panel.stop(0.5)
            agent.stop()
        finally:
            board.close()
    return 0


def _watch(agent: Agent, asked_to_stop: queue.SimpleQueue[int]) -> None:
    """Feed systemd's watchdog, if it wants to be, until somebody asks to stop or a part hangs: then systemd starts the client again."""
    interval = watchdog_interval()
    said = False
    while True:
        with contextlib.suppress(queue.Empty):
            asked_to_stop.get(timeout=interval)
            return
        hanging = agent.hangs()
        if hanging is None:
            notify(WATCHDOG=1)
        elif not said:
            log.error("the %s hangs; systemd will restart this client", hanging)
            said = True
