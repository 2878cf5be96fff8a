"""What a client needs before it can start, and the sentence for each thing that is missing."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bramble_client.deliver.tls import TlsSocket
from bramble_client.hal import Board, config, open_board
from bramble_client.hal.known import FILE, Memory
from bramble_client.learn.graph_trust import read_keys
from bramble_client.machine import disk
from bramble_protocol import BrambleError
from bramble_protocol.fields import SENTENCE
from bramble_protocol.mqtt.address import way
from bramble_protocol.named_files import read_text, verifying

if TYPE_CHECKING:
    from bramble_client.settings import ClientSettings


log = logging.getLogger(__name__)


class StartError(BrambleError):
    """The client cannot start as configured; the text names what to change."""


def read_token(path: Path) -> str:
    """Return the token in a file.

    Raises
    ------
    StartError
        If the file cannot be read, or does not hold one word.
    """
    words = read_text(path, "--token-file", StartError).split()
    if len(words) != 1 or len(words[0]) > SENTENCE:
        raise StartError(f"--token-file: {path} must hold one token and nothing else")
    return words[0]


def tls_context(ca: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the given authority, or those of the system.

    Raises
    ------
    StartError
        If the certificate cannot be read.
    """
    return verifying(ca, "--ca", StartError, TlsSocket)


class Authorities:
    """Returns a context that verifies the server, by the authorities in a file. It is read again when it changes.

    So a fleet's authority can be replaced while its clients run: each connection that they make trusts those of that moment.

    Parameters
    ----------
    ca
        PEM file with one certificate or several; None takes the system's.

    Raises
    ------
    StartError
        If there is none in it. Later that is logged once, and those read before stay trusted.
    """

    def __init__(self, ca: Path | None) -> None:
        self._ca = ca
        self._seen = self._stamp()
        self._context = tls_context(ca)

    def __call__(self) -> ssl.SSLContext:
        """Return the context for a new connection."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._context = tls_context(self._ca)
            except StartError as error:
                log.error("%s; the authorities read before stay trusted", error)
            else:
                log.info("--ca: read %s again", self._ca)
        return self._context

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._ca) if self._ca is not None else None
        except OSError:
            return None
        return status and (status.st_mtime_ns, status.st_size, status.st_ino)


def open_sensors(settings: ClientSettings, remember: bool = True) -> Board:
    """Return the board of sensors that the settings describe.

    Parameters
    ----------
    remember
        Whether to note what is found in the client's folder; who looks beside a client that runs must not.

    Raises
    ------
    SensorError
        If the bus cannot be used, nothing is found on it, or a file is malformed.
    """
    assert settings.sensors is not None  # the settings refuse it
    return open_board(
        settings.sensors,
        replay=settings.replay,
        seed=settings.id,
        bus=settings.bus,
        configuration=settings.sensors_file,
        faults=settings.faults,
        every=settings.sample_every,
        live=settings.self_paced,
        memory=Memory(settings.folder / FILE, writable=remember),
    )


def check_files(settings: ClientSettings) -> None:
    """Refuse the files that the settings name if a client could not use them, or not all of what they say; no sensor is touched.

    A client that runs leaves out a sensor that is badly described and measures with the others. Before that comes to a whole fleet,
    it is a mistake.

    Raises
    ------
    BrambleError
        Naming file, line and key.
    """
    if settings.sensors_file is not None:
        chosen, problems = config.load(settings.sensors_file, settings.sample_every)
        if problems or not chosen:
            raise StartError("; ".join(map(str, problems)) or f"{settings.sensors_file} lists no sensor; begin one with [[sensor]]")
    if settings.sensors == "mock":
        board = open_sensors(settings, remember=False)
        board.close()
        if board.problems:
            raise StartError("; ".join(map(str, board.problems)))
    read_keys(settings.trust_graphs)
    if settings.mqtt is not None:
        way(settings.mqtt, settings.mqtt_login, settings.mqtt_ca)


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[Path]:
    """Make the data folder and hold it, so that two clients never share one.

    Raises
    ------
    StartError
        If it cannot be made, or another client holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        why = disk.remedy(folder.parent, error) if error.errno == errno.EROFS else error.strerror
        raise StartError(f"--data-dir: cannot use {folder} ({why})") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartError(f"--data-dir: {folder} is in use by another client; give each its own") from error
        yield folder
