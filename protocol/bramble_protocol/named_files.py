"""Files that settings name, read with a sentence for whatever makes them of no use."""

from __future__ import annotations

import ssl
from pathlib import Path

from bramble_protocol.errors import BrambleError


def read_text(path: Path, setting: str, refused: type[BrambleError]) -> str:
    """Return what is in a file.

    Raises
    ------
    refused
        If it cannot be read, or is not a text; the sentence begins with the setting.
    """
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise refused(f"{setting}: cannot read {path} ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise refused(f"{setting}: {path} is not a text") from error


def verifying(ca: Path | None, setting: str, refused: type[BrambleError], sockets: type[ssl.SSLSocket]) -> ssl.SSLContext:
    """Return a context that trusts the authorities in a file, or those of the system, and makes sockets of a class.

    Raises
    ------
    refused
        If there is no certificate in the file.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise refused(f"{setting}: {ca} holds no certificate in PEM form") from error
    except OSError as error:
        raise refused(f"{setting}: cannot read {ca} ({error.strerror})") from error
    context.sslsocket_class = sockets
    return context
