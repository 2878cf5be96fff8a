"""``bramble client check``: whether this client can work as configured, tried out part by part beside one that may be running."""

from __future__ import annotations

import json
import sqlite3
import ssl
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from bramble_client.acquire.database import verdict
from bramble_client.commands import rehearsal, startup
from bramble_client.deliver import certificates, route
from bramble_client.hal.errors import NothingYet
from bramble_client.learn.graph_trust import GraphTrust, read_keys
from bramble_client.machine import disk
from bramble_client.machine.frontpanel import open_pins
from bramble_client.settings import CheckSettings, ClientSettings
from bramble_protocol import BrambleError
from bramble_protocol.printable import printable

TIMEOUT_S = 10.0
STORES = ("readings.db", "outbox.db")


class Finding(NamedTuple):
    """What became of one part: its name, whether it is in order, and a sentence."""

    part: str
    good: bool
    sentence: str


def run(settings: CheckSettings) -> int:
    """Print a line for each part; return 0 if all are in order, else 1."""
    findings = check(settings)
    if settings.as_json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2, ensure_ascii=False))
    for finding in findings if not settings.as_json else ():
        sentence = printable(finding.sentence, None)
        print(f"{'ok  ' if finding.good else 'FAIL'} {finding.part}: {sentence}", file=sys.stdout if finding.good else sys.stderr)
    return 0 if all(finding.good for finding in findings) else 1


def check(settings: ClientSettings) -> list[Finding]:
    """Try out the sensors, the pins if they are used, the stores, one run of training and the way to the server."""
    parts: dict[str, Callable[[ClientSettings], str]] = {
        "sensors": _sensors,
        "stores": _stores,
        "training": rehearsal.train,
        "server": _server,
    }
    if settings.graphs_are_checked:
        parts["graphs"] = lambda settings: str(GraphTrust(read_keys(settings.trust_graphs)))
    if settings.gpio:
        parts["pins"] = _pins
    findings = []
    for name, attempt in parts.items():
        try:
            findings.append(Finding(name, True, attempt(settings)))
        except (BrambleError, OSError, ImportError, sqlite3.Error) as error:
            findings.append(Finding(name, False, str(error)))
        except Exception as error:  # a fault of this release, which is what the check is there to find
            findings.append(Finding(name, False, f"{type(error).__name__}: {error}; this is a fault of this release"))
    return findings


def _sensors(settings: ClientSettings) -> str:
    board = startup.open_sensors(settings, remember=False)
    try:
        values = board.sample()
        waiting = [f"{sensor.name} waits for its first message" for sensor in board.sensors if isinstance(sensor.error, NothingYet)]
    finally:
        board.close()
    read = {channel.key: f"{value:.2f} {channel.unit}" for channel in board.channels if (value := values.get(channel.key)) is not None}
    if not read and not waiting:
        raise BrambleError("no sensor gave a reading; check the wiring, and with i2cdetect -y 1 whether it answers")
    return ", ".join([*(f"{key} {value}" for key, value in read.items()), *waiting])


def _pins(settings: ClientSettings) -> str:
    with tempfile.TemporaryDirectory() as folder:
        open_pins(settings, Path(folder)).close()
    return "lamp and buttons can be used"


def _stores(settings: ClientSettings) -> str:
    """Look through what is on the disk, only reading: a client may be using it."""
    folder, there = settings.folder, []
    for path in (folder / name for name in STORES):
        if not path.exists():
            continue
        try:
            wrong = verdict(path)
        except sqlite3.Error as error:
            raise BrambleError(f"{path} cannot be read ({error}); check whose it is, and that its disk is sound") from error
        if wrong:
            raise BrambleError(
                f"{path} is damaged ({wrong}); a client that is started sets it aside and goes on with what can be read of it"
            )
        there.append(path.name)
    trouble = disk.state(folder, OSError()) if folder.exists() else None
    if trouble:
        raise BrambleError(f"{folder} takes nothing: {disk.REMEDIES[trouble]}")
    return f"{' and '.join(there)} in {folder} {'is' if len(there) == 1 else 'are'} whole" if there else f"{folder} holds nothing yet"


def _server(settings: ClientSettings) -> str:
    token = startup.read_token(settings.token_file) if settings.token_file else None
    tls = startup.tls_context(settings.ca) if settings.server.startswith("https:") else None
    # Of a graph that there is not: an answer shows that the server is one, trusted, and takes the token.
    request = urllib.request.Request(f"{settings.server}/graphs/{'0' * 64}.tflite")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with route.opener(tls, settings.proxy).open(request, timeout=TIMEOUT_S):
            raise BrambleError(f"{settings.server} is no Bramble server")
    except urllib.error.HTTPError as error:
        if error.code == 401:
            raise BrambleError(f"{settings.server} does not take this client's token; deploy it again, or see --token-file") from None
        if error.code != 404:
            raise BrambleError(f"{settings.server} answers with HTTP {error.code}; is it a Bramble server?") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise BrambleError(f"{settings.server} cannot be believed: {certificates.refusal(error.reason)}") from None
        raise BrambleError(f"{settings.server} cannot be reached ({error.reason}); is it running, and is --ca right?") from None
    except HTTPException:
        raise BrambleError(f"{settings.server}: {route.NOT_HTTP}") from None
    return f"{settings.server} answers and takes the token" if token else f"{settings.server} answers"
