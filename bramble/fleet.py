"""``bramble fleet status``: every client in one line, from the server's HTTP endpoints."""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from rich.console import Console
from rich.table import Table

from protocol import BrambleError
from protocol.health import words

ROUNDS = 50
"""How many of the newest rounds are searched for a client's last one."""
PATIENCE = 3
"""Sampling intervals after which a client's newest sample is no longer fresh."""


class FleetSettings(BaseSettings):
    """Show every client: version, newest sample, last round, and how the machine is."""

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_", extra="ignore")

    server: str = Field("http://127.0.0.1:5000", description="Address of the server.")
    token_file: Path | None = Field(None, description="File with a token of the http section.")
    ca: Path | None = Field(None, description="Certificate (PEM) of the authority that signed the server's.")
    timeout: float = Field(10.0, gt=0, le=300, description="Seconds to wait for an answer.")
    as_json: bool = Field(False, description="Print JSON instead of a table.", json_schema_extra={"flags": "--json"})


class Unreachable(BrambleError):
    """The server does not answer as it should; the text says what to look at."""


def run(settings: FleetSettings) -> int:
    """Print the fleet's status; return 0."""
    status = read(settings)
    if settings.as_json:
        print(json.dumps(status, indent=2))
    else:
        show(status, Console())
    return 0


def read(settings: FleetSettings) -> dict[str, Any]:
    """Ask the server.

    Returns
    -------
    dict
        ``server``: version, mode, round, running; ``clients``: id to what the server knows of it, with ``last_round`` (a committed
        round that it took part in) and ``fresh`` (whether its newest sample is as new as its own interval promises).

    Raises
    ------
    Unreachable
        If it cannot be asked, or refuses.
    """
    get = _Getter(settings)
    status, clients = get("/status"), get("/clients")["clients"]
    last = max(status["round"], status["running"] or 0)
    rounds = get(f"/rounds?since={max(0, last - ROUNDS)}&limit={ROUNDS}&clients=1")["rounds"] if last else []
    took_part: dict[str, int] = {}
    for record in rounds:
        if record["state"] == "committed":
            took_part.update({name: record["round"] for name, part in record["clients"].items() if part["samples"]})
    now = time.time()
    for name, client in clients.items():
        client["last_round"] = took_part.get(name)
        client["fresh"] = fresh(client, now)
    server = {name: status[name] for name in ("version", "mode", "task", "round", "running")}
    return {"server": server, "clients": clients}


def fresh(client: dict[str, Any], now: float) -> bool:
    """Whether a client measures: its newest sample is at most three of its intervals old. Without a clock of its own it owes none."""
    health = client.get("health")
    if not client["connected"] or health is None:
        return False
    if health["sample_every"] is None:
        return True
    age = health["sample_age"]
    return age is not None and bool(age + now - client["health_at"] <= PATIENCE * health["sample_every"] + 10)


def show(status: dict[str, Any], console: Console) -> None:
    """Print a table."""
    server = status["server"]
    running = f", round {server['running']} runs" if server["running"] else ""
    console.print(
        f"Server {server['version']}, {server['mode']} mode, task {server['task']}, last committed round {server['round']}{running}"
    )
    table = Table(
        "client", "", "version", "sample", "round", "SoC °C", "throttled", "RAM MB", "disk GB", "clock s", box=None, padding=(0, 1)
    )
    for name, client in sorted(status["clients"].items()):
        health = client.get("health") or {}
        table.add_row(
            name,
            "[green]there[/]" if client["connected"] else f"[red]gone {_span(time.time() - client['since'])}[/]",
            client["version"],
            _sample(client, health),
            _text(client["last_round"]),
            _text(health.get("soc_temperature"), "{:.0f}"),
            "" if health.get("throttled") is None else words(health["throttled"]),
            _text(health.get("memory_free"), "{:.0f}"),
            _text(None if health.get("disk_free") is None else health["disk_free"] / 1024, "{:.1f}"),
            _text(health.get("clock_offset"), "{:+.1f}"),
        )
    console.print(table)


def _sample(client: dict[str, Any], health: dict[str, Any]) -> str:
    age = health.get("sample_age")
    if age is None:
        return "none" if health else ""
    text = f"{_span(age + time.time() - client['health_at'])} ago"
    return text if client["fresh"] else f"[red]{text}[/]"


def _text(value: Any, form: str = "{}") -> str:
    return "" if value is None else form.format(value)


def _span(seconds: float) -> str:
    """Return a duration as a person says it: ``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


class _Getter:
    def __init__(self, settings: FleetSettings) -> None:
        self._settings = settings
        self._headers = {}
        try:
            if settings.token_file is not None:
                self._headers["Authorization"] = f"Bearer {settings.token_file.read_text('utf-8').strip()}"
            tls = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=settings.ca))
            self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), tls)
        except OSError as error:
            raise Unreachable(f"{error.filename or settings.ca}: cannot be read ({error.strerror}); check --token-file and --ca") from None

    def __call__(self, path: str) -> Any:
        url = self._settings.server.rstrip("/") + path
        request = urllib.request.Request(url, headers=self._headers)
        try:
            with self._opener.open(request, timeout=self._settings.timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise Unreachable(f"the server refuses {path}: {_sentence(error)}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise Unreachable(
                f"the server at {self._settings.server} cannot be asked ({reason}); is it running, and is --ca right?"
            ) from None


def _sentence(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"HTTP {error.code}"
