"""``bramble quickstart``: makes what a fleet needs, runs its server, hands out its clients, and says what to paste."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import socket
import threading
from pathlib import Path

from rich.console import Console

from bramble import task
from bramble.api import Server
from bramble.processes import Family
from bramble.quickstart import own_wheel, service
from bramble.quickstart.enrolling import ROLL, enrol
from bramble.quickstart.handout import SCRIPT, Handout, line, script
from bramble.quickstart.identity import certify, keep
from bramble.quickstart.settings import LEAST, QuickstartSettings
from bramble_protocol import BrambleError
from bramble_protocol.ending import Ending
from bramble_server.fleet import tokenfile
from bramble_server.fleet.tokens import client_entry, http_entry, new_token
from bramble_server.settings import PRIVATE_UPDATES

LOOK_S = 1.0
"""Seconds between two looks at who has joined."""


def run(settings: QuickstartSettings) -> int:
    """Set up and serve until Ctrl-C; return 0.

    Raises
    ------
    BrambleError
        If something cannot be made, or the server does not start.
    """
    folder, ending = settings.dir.resolve(), Ending()
    if settings.service:
        service.refuse_unless_it_can_be()
    address = settings.address or _own_address()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tokens = _identities(folder, settings.clients, address)
        keys = enrol(folder, settings.clients) if settings.secure else {}
        wheel = own_wheel.wheel(folder / "wheel")
        others = _others(settings.wheels)
        _write_settings(folder, settings, address)
    except OSError as error:
        raise BrambleError(f"--dir: {error.filename} cannot be written ({error.strerror}); name another folder") from None
    host = f"[{address}]" if ":" in address else address
    base = f"http://{host}:{settings.port + 1}"
    client = {"server": f"https://{host}:{settings.port}", "sensors": settings.sensors, "mode": settings.mode}
    roll = (folder / ROLL).read_text() if settings.secure else ""
    made = script(base, wheel, others, (folder / "ca.crt").read_text(), (folder / "graphs.key.pub").read_text(), client, roll)
    family = Family(folder / "logs")
    try:
        handout = Handout("", settings.port + 1)
    except OSError as error:
        raise BrambleError(f"--port: {settings.port + 1}, the next one, cannot be used ({error.strerror}); take another") from None
    handout.files.update({SCRIPT: made, **{path.name: path for path in (wheel, *others)}})
    threading.Thread(target=handout.serve_forever, daemon=True).start()
    try:
        if settings.service:
            service.install(folder)
        else:
            family.start("server", "server", "--config", str(folder / "server.toml"), ready="bramble server ready on ")
        console = Console(highlight=False)
        _say(console, folder, settings, {name: line(base, made, name, tokens[name], keys.get(name, "")) for name in settings.clients})
        _say_what_is_fetched(console, base, wheel, others)
        operator = (folder / "operator.token").read_text()
        _watch(console, Server(f"https://localhost:{settings.port}", operator, folder / "ca.crt"), family, ending)
    finally:
        handout.shutdown()
        handout.server_close()
        family.stop()
    return 0


def _own_address() -> str:
    """Return this machine's address in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: nobody's
            address = str(probe.getsockname()[0])
        except OSError:
            address = "127.0.0.1"
    if ipaddress.ip_address(address).is_loopback:
        raise BrambleError("this machine's address in its network is not known: say it with --address")
    return address


def _identities(folder: Path, clients: tuple[str, ...], address: str) -> dict[str, str]:
    """Make what is missing of the fleet's identities; return the clients' tokens."""
    task.needs_cryptography()
    certify(folder, address, dt.datetime.now(dt.UTC))
    if not (folder / "graphs.key").exists():
        task.make_key(folder / "graphs.key")
    (folder / "clients").mkdir(mode=0o700, exist_ok=True)
    known = {name: folder / "clients" / f"{name}.token" for name in clients}
    for name, path in {**known, "operator": folder / "operator.token"}.items():
        if not path.exists():
            secret, hashed = new_token()
            entry = client_entry(name, hashed) if name in known and path == known[name] else http_entry("operator", hashed, ["admin"])
            keep(path, secret.encode(), secret=True)
            tokenfile.add(folder / "tokens.toml", entry)
    return {name: path.read_text().strip() for name, path in known.items()}


def _others(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    found = sorted(path for path in folder.glob("*.whl") if not path.name.startswith("bramble_fl-"))
    if not any(path.name.startswith("pip-") for path in found):
        raise BrambleError(f"--wheels: {folder} has no wheel of pip: pip download --dest {folder} pip")
    return found


def _write_settings(folder: Path, settings: QuickstartSettings, address: str) -> None:
    """Write what the server and the operator's commands are started with; a person may start both with it later."""
    updates = min(len(settings.clients), PRIVATE_UPDATES) if settings.mode == "private" else 1
    server: dict[str, object] = {
        "host": "0.0.0.0", "port": settings.port, "mode": settings.mode, "task": settings.task, "min_updates": updates,
        "min_clients": max(2, updates), "allow_simulated": settings.sensors == "mock", "tokens": str(folder / "tokens.toml"),
        "tls_cert": str(folder / "server.crt"), "tls_key": str(folder / "server.key"), "data_dir": str(folder / "server"),
        "allowed_hosts": address,
    }  # fmt: skip
    if settings.secure:
        server |= {"secure": True, "roll": str(folder / ROLL), "min_updates": max(updates, LEAST), "min_clients": LEAST}
    if settings.every is not None:
        server["every"] = f"{settings.every:g}s"
    fleet: dict[str, object] = {
        "server": f"https://localhost:{settings.port}", "ca": str(folder / "ca.crt"), "token_file": str(folder / "operator.token"),
    }  # fmt: skip
    for table, values in (("server", server), ("fleet", fleet)):
        lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
        keep(folder / f"{table}.toml", f"# Written by bramble quickstart, at each start.\n[{table}]\n{lines}".encode(), secret=True)


def _say(console: Console, folder: Path, settings: QuickstartSettings, lines: dict[str, str]) -> None:
    console.print(f"The server runs. Its keys, tokens and data are in {folder}: keep that folder, and keep it from others.", soft_wrap=True)
    console.print("Paste one line on each Pi, as its user, within this network; each holds a secret:\n")
    for name, text in lines.items():
        console.print(f"[bold]{name}[/]")
        console.print(text, soft_wrap=True, markup=False)
        if settings.qr:
            import segno

            segno.make(text.strip(), error="l", micro=False).terminal(compact=True)
        console.print()
    often = "when you start them" if settings.every is None else f"every {settings.every / 60:g} min"
    console.print(f"Rounds run {often}; more of it: bramble fleet status --config {folder / 'fleet.toml'}", soft_wrap=True)
    if settings.service:
        console.print(f"The server is {service.NAME}, which goes on after Ctrl-C; what the Pis fetch is handed out until then.")
        return
    console.print("Ctrl-C stops the server; the same command starts it again.")
    if service.possible():
        console.print("To have it run at boot, add --service, as root.")


def _say_what_is_fetched(console: Console, base: str, wheel: Path, others: list[Path]) -> None:
    """Say what a Pi will fetch, and by what each is believed."""
    size = sum(path.stat().st_size for path in (wheel, *others)) / 1e6
    number = f"{wheel.name} and {len(others)} wheels" if others else wheel.name
    rest = "nothing else is fetched" if others else "all else comes from its package index, which pip believes"
    console.print(f"Each Pi fetches {number} ({size:.1f} MB) from {base}, by the SHA-256 in the script; {rest}.", soft_wrap=True)


def _watch(console: Console, server: Server, family: Family, ending: Ending) -> None:
    """Say who joins, until told to stop."""
    there: set[str] = set()
    while not ending.wait(LOOK_S):
        family.check()
        try:
            now = {name for name, client in server.clients().items() if client["connected"]}
        except BrambleError:
            continue  # it is starting, or busy
        for name in sorted(now - there):
            console.print(f"{name} has joined")
        there |= now
