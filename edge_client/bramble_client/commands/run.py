"""Runs a client until it is told to stop, and tells systemd that all of it gets on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bramble_client.acquire import belonging
from bramble_client.agent import Agent
from bramble_client.commands import startup
from bramble_client.machine import allocator
from bramble_client.machine.frontpanel import open_panel
from bramble_protocol.ending import Ending
from bramble_protocol.notify import notify, watchdog_interval

if TYPE_CHECKING:
    from bramble_client.settings import ClientSettings

log = logging.getLogger(__name__)


def run(settings: ClientSettings) -> int:
    """Run a client until SIGINT or SIGTERM; return the exit code.

    Raises
    ------
    BrambleError
        If a setting turns out to be unusable. A server that does not answer is no reason to end.
    """
    allocator.frugal()
    ending = Ending()
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
            if panel is not None:
                agent.attention.ask = panel.ask
            agent.start()
            if panel is not None:
                panel.start()
            allocator.let_go()
            notify(READY=1)
            _watch(agent, ending)
            notify(STOPPING=1)
            if panel is not None:
                panel.stop(0.5)
            agent.stop()
        finally:
            board.close()
    return 0


def _watch(agent: Agent, ending: Ending) -> None:
    """Feed systemd's watchdog, if it wants to be, until somebody asks to stop or a part hangs: then systemd starts the client again."""
    interval = watchdog_interval()
    said = False
    while not ending.wait(interval):
        hanging = agent.hangs()
        if hanging is None:
            notify(WATCHDOG=1)
        elif not said:
            log.error("the %s hangs; systemd will restart this client", hanging)
            said = True
