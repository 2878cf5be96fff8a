"""Wires the server; nothing else constructs."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Iterator

from flask import Flask

from bramble_protocol import codecs, released
from bramble_protocol.errors import BrambleError
from bramble_protocol.notify import TIMESYNCD, notify
from bramble_server import foundation, memory, tracking
from bramble_server import web as http
from bramble_server.fleet import revocation
from bramble_server.fleet.admission import Admission
from bramble_server.fleet.rate_limited_log import RateLimitedLog
from bramble_server.fleet.registry import Registry
from bramble_server.fleet.tokens import Tokens
from bramble_server.home_assistant import HomeAssistant
from bramble_server.learning import strategies
from bramble_server.metrics import Metrics
from bramble_server.rounds.archive import Archive
from bramble_server.rounds.coordinator import Coordinator
from bramble_server.settings import ServerSettings
from bramble_server.store import Store
from bramble_server.transport.emitter import Emitter
from bramble_server.transport.gevent import engine, watchdog
from bramble_server.transport.handlers import Handlers
from bramble_server.transport.port import Transport

log = logging.getLogger(__name__)

HEADROOM = 8 << 20
"""Bytes that a message may be larger than two models. Up to that an update that is too large is read and refused by name."""

TEXT = 1 << 20
"""Characters of JSON in a message, unless the layout alone is half of that: ten thousand readings of six channels fit in."""

READERS = 4
"""HTTP answers that are read and rendered at once."""

CURVES = {"task", "mode", "strategy", "strategy_option", "codec", "discipline", "selection", "min_clients", "seed"}
"""Settings that are written down with the curves of a server."""

GARBAGE = (50_000, 20, 50)
"""When Python looks for garbage that refers to itself; what it usually does took a fifth of the time of a round of a thousand clients."""


class Server:
    """A server, wired and not yet listening.

    Raises
    ------
    BrambleError
        If a setting does not work out, in one sentence.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        tracks = foundation.read(settings)
        manifests = [track.graph.manifest for track in tracks]
        for track in tracks:
            strategies.named(track.settings.strategy, track.settings.strategy_option).check(track.graph.manifest)
        tokens = self.tokens = Tokens(settings.tokens) if settings.tokens else None
        try:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BrambleError(f"--data-dir: {settings.data_dir} cannot be made ({error.strerror})") from None
        self.store = Store(settings.database or settings.data_dir / "bramble.db", settings.database_password_file)
        self.archive = Archive(settings.data_dir)
        self.flask = Flask("bramble_server", static_folder=None)
        self.flask.json.sort_keys = False  # type: ignore[attr-defined]
        self.registry, self.limited_log = Registry({track.task: track.needs for track in tracks}), RateLimitedLog()
        metrics = {track.task: track.graph.manifest.metric for track in tracks}
        self.metrics = Metrics(metrics, self.registry, lambda: self.registry.strangers(tokens.clients() if tokens else ()))
        self.metrics.database(lambda: bool(self.store.trouble))
        largest = 2 * max(codecs.encoded_size(manifest.layout, "float32") for manifest in manifests) + HEADROOM
        text = max(TEXT, *(2 * len(json.dumps(manifest.layout.to_wire())) for manifest in manifests))
        transport = engine.GeventTransport(self.flask, largest, text, settings.ping_interval, settings.ping_timeout)
        self.transport: Transport = transport
        self.traffic = transport.traffic
        self.metrics.watch(self.traffic)
        self.metrics.waiting(lambda: sum(map(transport.pending, self.registry.sids(self.registry.connected()))))
        loop = self.loop = transport.loop(threads=1)
        emitter = Emitter(transport, self.registry, loop.offload)
        self.coordinator = Coordinator(settings, tracks, self.store, self.registry, emitter, loop, self.metrics, self.archive)
        self.metrics.went_by(self._choices)
        about = settings.model_dump(mode="json", include=CURVES)
        self.curves = tracking.begun(settings.log_to, "server", about) if settings.log_to else None
        if self.curves:
            self.metrics.follow(self.curves.of_task)
        admission = Admission(self.registry, tokens, settings.simulated_welcome)
        transport.attach(Handlers(transport, loop, admission, self.registry, self.coordinator, emitter, self.metrics, self.limited_log))
        self.home = HomeAssistant(settings, self.coordinator, self.registry) if settings.mqtt else None
        readers = transport.loop(threads=READERS)
        services = http.Services(
            settings, self.store, self.archive, self.registry, self.coordinator, readers, self.metrics, self.limited_log, tokens,
            largest, text,
        )  # fmt: skip
        http.register(self.flask, services)
        for name, track in zip(settings.task, tracks, strict=False):  # what was deployed comes behind
            if settings.mode == "private" and not track.signatures and track.graph.fingerprint not in released.fingerprints():
                log.warning(
                    "task %s: its graph is not signed, and clients in private mode run no such one: bramble task sign %s --key YOUR_KEY",
                    track.task, name,
                )  # fmt: skip

    def _choices(self) -> Iterator[tuple[str, dict[str, str]]]:
        for track in self.coordinator.foundations:
            own = track.settings
            yield track.task, {name: str(getattr(own, name)) for name in ("strategy", "codec", "discipline", "selection")}

    def listen(self) -> engine.Listener:
        """Start to work and to accept connections."""
        settings = self.settings
        listener = engine.Listener(
            self.flask,
            settings.host,
            settings.port,
            self.limited_log.about,
            settings.tls_cert,
            settings.tls_key,
            settings.max_connections,
            settings.max_per_address,
        )
        self.coordinator.start()
        listener.start()
        if self.home is not None:
            self.home.start()
        if self.tokens:
            revocation.start(self.loop, self.registry, self.tokens, self.transport.close)
        return listener

    def close(self) -> None:
        """Let go of the store and the rounds' files."""
        if self.curves:
            self.curves.close()
        self.archive.close()
        self.store.close()


def run(settings: ServerSettings) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    server = Server(settings)
    try:
        listener = server.listen()
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        warn_if_open(settings)
        warn_if_the_clock_may_be_wrong()
        print(f"bramble server ready on {settings.scheme}://{host}:{listener.port}", flush=True)
        _say_what_is_here(server)
        watchdog.start(server.loop, server.coordinator.drain)
        _look_for_garbage_seldom()
        memory.start(server.loop, server.traffic)
        engine.wait_for_signal()
        log.info("stopping")
        notify(STOPPING=1)
        server.coordinator.stop()
        listener.stop()
        if server.home is not None:
            server.home.stop()
    finally:
        server.close()
    return 0


def _look_for_garbage_seldom() -> None:
    """Never look through what is here from the start, and rarely through all that came with clients: no message is in it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


def warn_if_open(settings: ServerSettings) -> None:
    """Say it loudly when a network can reach a server that asks nobody for a token."""
    if not settings.tokens and not settings.loopback:
        log.warning(
            "ANYBODY who can reach this machine may join this fleet, read what it has, start rounds and reset it: it listens on --host %s "
            "without --tokens; make tokens with `bramble token`, or listen on 127.0.0.1",
            settings.host,
        )


def warn_if_the_clock_may_be_wrong() -> None:
    """Say so when systemd keeps this machine's clock and no time server has answered yet; who keeps it otherwise is not asked."""
    if TIMESYNCD.parent.is_dir() and not TIMESYNCD.exists():
        log.warning(
            "this machine's clock is not known to be right, for no time server has answered yet: rounds may be dated wrongly, and "
            "certificates seem to be expired or not yet valid; see `timedatectl timesync-status`"
        )


def _say_what_is_here(server: Server) -> None:
    view = server.coordinator.view
    last = max(progress.model.round for progress in view.tasks.values())
    if last or view.cycle:
        left = f"round {last}" + (f" and cycle {view.cycle}" if view.cycle else "")
        log.info("going on after %s of %s; POST /reset, or another --data-dir, begins anew", left, server.store.where)
