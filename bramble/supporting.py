"""``bramble support``: one archive for whoever helps, with no secret, no reading and no weight in it."""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from bramble import flags, settings_check, terminal
from bramble.operating_settings import SupportSettings
from bramble_client.settings import ClientSettings
from bramble_protocol.errors import BrambleError
from bramble_protocol.printable import printable

LINES = 5000
"""Lines of the log, the newest of two days."""
ROUNDS = 100
HIDDEN = "(left out)"
NOT_THERE = "not there: "
_SECRET = re.compile(r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{40,}|(?<=://)[^/\s@]+(?=@)|-----BEGIN[\s\S]*?-----END[^\n]*")
"""What may be a token or its hash, a login in an address, or a key."""
_ABOUT = ("/etc/os-release", "/proc/uptime", "/proc/loadavg", "/proc/meminfo", "/proc/device-tree/model")


def run(settings: SupportSettings) -> int:
    """Write the archive, and say what is in it and what could not be had; return 0.

    Raises
    ------
    BrambleError
        If it cannot be written.
    """
    parts = dict(_parts(settings))
    try:
        with settings.output.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, text in parts.items():
                data = text.encode("utf-8", "replace")
                member = tarfile.TarInfo(f"bramble-support/{name}")
                member.size, member.mtime, member.mode = len(data), int(time.time()), 0o600
                archive.addfile(member, io.BytesIO(data))
    except OSError as error:
        raise BrambleError(f"support: {settings.output} cannot be written ({error.strerror}); say where with --output") from None
    missing = {name: text.removeprefix(NOT_THERE).strip() for name, text in parts.items() if text.startswith(NOT_THERE)}
    told = {"file": str(settings.output), "parts": {name: len(text) for name, text in parts.items()}, "missing": missing}
    lines = [f"{name:<24} {missing.get(name, f'{len(text):,} characters')}" for name, text in parts.items()]
    terminal.tell(settings.as_json, told, *lines, f"{settings.output}: look into it before you send it")
    return 0


def _parts(settings: SupportSettings) -> Iterator[tuple[str, str]]:
    yield "versions.txt", "".join(sorted({f"{each.name}=={each.version}\n" for each in distributions()}, key=str.casefold))
    yield "machine.txt", _machine()
    for path in sorted(settings.settings_in.glob("*.toml")):
        if path.name != "tokens.toml":
            yield f"settings/{path.name}", _settings(path)
    yield "selftest.txt", "".join(f"{printable(scrubbed(line), None)}\n" for line in _selftest(settings.settings_in))
    yield "log.txt", _log()
    yield from _of_server(settings)


def _machine() -> str:
    disk = shutil.disk_usage("/")
    lines = [
        f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} processors",
        f"disk: {disk.free:,} of {disk.total:,} bytes free",
    ]
    for path in map(Path, _ABOUT):
        if path.exists():
            lines += [f"--- {path}", path.read_text("utf-8", "replace").strip("\0\n")]
    return "\n".join(lines) + "\n"


def _settings(path: Path) -> str:
    try:
        return json.dumps(_shown(tomllib.loads(path.read_text("utf-8"))), indent=1, default=str)
    except (OSError, ValueError) as error:
        return f"{NOT_THERE}{path} cannot be read ({error})\n"


def _shown(value: Any, name: str = "") -> Any:
    """Leave out whatever may be a secret: by its setting's name, or by what it looks like."""
    if isinstance(value, dict):
        return {key: _shown(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_shown(each, name) for each in value]
    if isinstance(value, str):
        return HIDDEN if any(word in name.lower() for word in (*flags.SECRETIVE, "login", "secret")) else scrubbed(value)
    return value


def scrubbed(text: str) -> str:
    """Return a text without what may be a secret in it."""
    return _SECRET.sub(HIDDEN, text)


def _selftest(folder: Path) -> Iterator[str]:
    """Yield what is wrong with the settings, and of each client's sensors whether they work, without what they measure."""
    for path in sorted(path for name in settings_check.SETTINGS for path in folder.glob(name)):
        problems = [f"FAIL {problem}" for problem in settings_check.check(path)]
        yield from problems or [f"ok   {path}"]
        if path.name.startswith("client") and not problems:
            yield from _sensors(path)


def _sensors(path: Path) -> Iterator[str]:
    try:  # whatever a sensor, its driver or a missing library does: that it does is what a helper is to see
        from bramble_client.commands import startup
        from bramble_client.hal.selftest import selftest

        board = startup.open_sensors(flags.of_file(ClientSettings, "client", path, flags.document(path)), remember=False)
        try:
            for check in selftest(board):
                yield f"{'ok  ' if check.passed else 'FAIL'} {check.sensor}: {check.what}: {check.told}"
        finally:
            board.close()
    except Exception as error:
        yield f"FAIL sensors of {path.name}: {error}"


def _log() -> str:
    command = [
        "journalctl",
        "--namespace=+bramble",
        "--unit=bramble-*",
        "--since=-2d",
        f"--lines={LINES}",
        "--no-pager",
        "--output=short-iso",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        return f"{NOT_THERE}this machine has no journal\n"
    except subprocess.TimeoutExpired:
        return f"{NOT_THERE}the journal did not answer within a minute\n"
    return scrubbed(done.stdout) if done.returncode == 0 else f"{NOT_THERE}{scrubbed(done.stderr)}"


def _of_server(settings: SupportSettings) -> Iterator[tuple[str, str]]:
    try:
        from bramble.api import Server, ServerError  # a Pi has no HTTP library
    except ModuleNotFoundError:
        yield "server.txt", f"{NOT_THERE}a client asks no server over HTTP; take the server's archive where it runs\n"
        return
    try:
        server = Server.of(settings)
        status = server.status()
        found: dict[str, Any] = {"status.json": status, "clients.json": server.registry(), "tasks.json": server.tasks()}
        newest = max(status["round"], status["running"] or 0)
        found["rounds.json"] = server.rounds(max(0, newest - ROUNDS), ROUNDS) if newest else []
        for name, value in found.items():
            yield f"server/{name}", scrubbed(json.dumps(value, indent=1))
        yield "server/metrics.txt", server.metrics()
    except ServerError as error:
        yield "server.txt", f"{NOT_THERE}{error}\n"
