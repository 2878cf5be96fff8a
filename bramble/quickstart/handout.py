"""What a Pi fetches: the script that installs a client, and the wheels that it names, each under its name and nothing else."""

from __future__ import annotations

import hashlib
import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bramble_protocol.printable import printable

log = logging.getLogger(__name__)

SCRIPT = "join.sh"
TEMPLATE = Path(__file__).with_name(SCRIPT)


def script(base: str, wheel: Path, others: Sequence[Path], ca: str, key: str, settings: Mapping[str, str], roll: str = "") -> bytes:
    """Return the script.

    Parameters
    ----------
    base
        Address at which the files are.
    wheel
        Bramble's own.
    others
        Wheels of all else, pip's among them; pip takes them from its index if there are none.
    ca
        The fleet's authority (PEM).
    key
        The public key of whoever signs graphs.
    settings
        The client's, beside its name and what these files are.
    roll
        The fleet's, where clients take part in secure sums.
    """
    own: dict[str, str | bool] = {**settings, "ca": "/etc/bramble/ca.crt", "trust_graphs": "/etc/bramble/graphs.pub"}
    if roll:
        own |= {"secure": True, "roll": "/etc/bramble/roll", "identity": "/run/credentials/bramble-client.service/identity"}
    filled = {
        "BASE": shlex.quote(base),
        "FETCHES": "\n".join(f"fetch {shlex.quote(path.name)} {digest(path)}" for path in (wheel, *others)),
        "WHEEL": wheel.name,
        "CA": ca.strip(),
        "KEY": key.strip(),
        "ROLL": roll.strip(),
        "SETTINGS": "\n".join(f"{name} = {json.dumps(value)}" for name, value in own.items()),
        "SENSORS": settings["sensors"],
    }
    text = TEMPLATE.read_text("utf-8")
    for name, value in filled.items():
        text = text.replace(f"@{name}@", value)
    return text.encode()


def line(base: str, script: bytes, client: str, token: str, identity: str = "") -> str:
    """Return what is pasted on a Pi, with its token and, if any, its key. Its first blank keeps it out of Debian's shell's history."""
    checked = f"echo '{hashlib.sha256(script).hexdigest()}  '\"$f\" | sha256sum -c --quiet -"
    fetched = f'f=$(mktemp) && curl -fsS -o "$f" {base}/{SCRIPT} && {checked}'
    secrets = f"'%s\\n' {token} {identity}" if identity else f"%s {token}"
    return f' printf {secrets} | ({fetched} && sudo sh "$f" {client})'


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Handout(ThreadingHTTPServer):
    """Hands out a few files to whoever asks; none of them is a secret.

    Parameters
    ----------
    port
        0 takes a free one.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.files: dict[str, Path | bytes] = {}
        """By name."""
        super().__init__((host, port), partial(_Answer, self.files))


class _Answer(BaseHTTPRequestHandler):
    timeout = 60.0
    server_version, sys_version = "bramble-quickstart", ""

    def __init__(self, files: Mapping[str, Path | bytes], *given: object) -> None:
        self._files = files
        super().__init__(*given)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        found = self._files.get(self.path.removeprefix("/"))
        if found is None:
            self.send_error(404)
            return
        content = found if isinstance(found, bytes) else found.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say who fetched what, for whoever watches."""
        log.debug("%s %s", self.client_address[0], printable(format % arguments, 200))
