"""The one HTTP client of a Bramble server: what its endpoints answer as Python values, and errors that a person can act on.

The command, the demo, the inspector and tests all speak through it. It knows nothing but ``protocol``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import requests

from bramble.answers import shown, speaks_no_http, with_remedy
from bramble_protocol import BrambleError

JSON = dict[str, Any]
PAUSE_S = 0.1
"""Between two looks at a server that is waited for."""


class ServerError(BrambleError):
    """The server cannot be asked, or says no; the text is one sentence with the remedy."""


class ServerDown(ServerError):
    """The server does not answer, or what answers is not a Bramble server."""


class ServerRefused(ServerError):
    """The server answered no; the text is its own sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Reach(Protocol):
    """Settings that say how to reach a server."""

    server: str
    token_file: Path | None
    ca: Path | None
    timeout: float


class Server:
    """Talks to one Bramble server.

    Where a call takes a ``task``, it is asked about that one of the server's tasks; without it, about its first. A server that knows one
    task alone refuses the name of any.

    Parameters
    ----------
    url
        Its address.
    token
        Bearer token, or None where the server asks for none.
    ca
        PEM file of the authority that signed the server's certificate; None takes the system's.
    timeout
        Seconds to wait for a connection, and again for each part of the answer.
    """

    def __init__(self, url: str, token: str | None = None, ca: Path | None = None, timeout: float = 5.0) -> None:
        self.url = url.rstrip("/")
        self._timeout, self._ca = timeout, ca
        self._session = requests.Session()
        # A .netrc or a proxy of the environment must not redirect a fleet's token
        self._session.trust_env = False
        self._session.verify = str(ca) if ca else True
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    @classmethod
    def of(cls, settings: Reach) -> Server:
        """Take a command's settings, and the token, if there is one, from its file.

        Raises
        ------
        ServerError
            If the token's or the authority's file cannot be read.
        """
        path, ca, token = settings.token_file, settings.ca, None
        if ca is not None and not ca.is_file():
            raise ServerError(f"There is no certificate authority at {ca}; check --ca.")
        if path is not None:
            try:
                token = path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ServerError(f"Cannot read the token in {path} ({error}); check --token-file.") from error
            if not token or any(character.isspace() for character in token):
                raise ServerError(f"{path} does not hold one token; write it alone into the file.")
        return cls(settings.server, token, ca, settings.timeout)

    def as_of(self, token: str) -> Server:
        """Return the same server as somebody else's token opens it."""
        return Server(self.url, token, self._ca, self._timeout)

    def on_behalf_of(self, person: str) -> Server:
        """Return the same server, which notes on its record for whom something is asked."""
        other = Server(self.url, None, self._ca, self._timeout)
        other._session.headers.update({**self._session.headers, "Bramble-For": quote(person)})
        return other

    def healthy(self) -> bool:
        """Whether the server answers; needs no token."""
        return self._ask("GET", "/healthz").get("ok") is True

    def whoami(self) -> JSON:
        """Whose the token is (``name``, None where the server asks for none), and what it ``opens``, of the scopes."""
        return self._ask("GET", "/whoami")

    def audit(self, limit: int = 100) -> JSON:
        """The newest ``changes``: who asked for what, when, from where and with which status; ``broken`` where a line is missing."""
        return self._ask("GET", "/audit", limit=limit)

    def status(self, task: str | None = None) -> JSON:
        """Round, mode, task and who is awaited; ``revision`` grows with every change."""
        return self._ask("GET", "/status", task=task)

    def clients(self, task: str | None = None) -> dict[str, JSON]:
        """Every client the server has ever seen, by id."""
        return self.everybody(task)[0]

    def registry(self, task: str | None = None) -> JSON:
        """Who has ever been seen (``clients``), who may connect and never did, and who was refused of late."""
        return self._ask("GET", "/clients", task=task)

    def everybody(self, task: str | None = None) -> tuple[dict[str, JSON], list[str]]:
        """Every client the server has ever seen, by id, and the ids that may connect and never did."""
        return (answer := self.registry(task))["clients"], answer.get("never_seen", [])

    def client(self, name: str, task: str | None = None) -> JSON:
        """One client, as :meth:`clients` has it, and what is wrong with it (``wrong``)."""
        return self._ask("GET", f"/clients/{quote(name, safe='')}", task=task)

    def history(self, name: str) -> JSON:
        """What happened to a client: ``since`` when that is kept, ``events``, ``health`` over time, and what ``came`` from it by kind."""
        return self._ask("GET", f"/clients/{quote(name, safe='')}/history")

    def page(self, limit: int, task: str | None = None, **asked: str | int | None) -> JSON:
        """At most ``limit`` clients in short: ``rows``, and how many there are of what; ``asked`` is as docs/protocol.md has it."""
        return self._ask("GET", "/clients", None, task=task, limit=limit, **asked)

    def forget(self, client: str) -> JSON:
        """Take a client that is gone off the list."""
        return self._ask("DELETE", f"/clients/{quote(client, safe='')}")

    def release(self, client: str, task: str | None = None) -> JSON:
        """Have a client that is in quarantine be asked again; takes the scope ``admin``."""
        return self._ask("POST", f"/clients/{quote(client, safe='')}/release", task=task)

    def rounds(
        self, since: int = 0, limit: int = 100, task: str | None = None, clients: bool = True, order: str | None = None, client: str = ""
    ) -> list[JSON]:
        """At most ``limit`` rounds after ``since``, ascending, each with its clients' measures (or one's alone) unless they are not wanted.

        They are the newest, or with ``order="oldest"`` the oldest: a whole history is read page by page so.
        """
        parts = {"clients": int(clients), "client": client or None}
        return list(self._read(self._fetch("GET", "/rounds", since=since, limit=limit, task=task, order=order, **parts))["rounds"])

    def round(self, number: int) -> JSON:
        """One round, with its clients' measures."""
        return self._ask("GET", f"/rounds/{number}")

    def wait(
        self,
        condition: Callable[[JSON], bool],
        what: str,
        within: float = 300.0,
        *,
        unanswered: bool = False,
        task: str | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> JSON:
        """Ask for the status until it meets a condition, and return it.

        Parameters
        ----------
        condition
            Of the answer of ``status``.
        what
            What is waited for, in words.
        within
            Seconds after which it is given up.
        unanswered
            Whether a server that does not answer yet is waited for too.
        task
            Whose status is asked for.
        meanwhile
            Called before each question; may raise.

        Raises
        ------
        ServerError
            If the time is up, the server refuses, or does not answer.
        """
        until = time.monotonic() + within
        while True:
            meanwhile()
            trouble = f"the server waits for {what} still"
            try:
                status = self.status(task)
                if condition(status):
                    return status
            except ServerDown as error:
                if not unanswered:
                    raise
                trouble = str(error)
            if time.monotonic() > until:
                raise ServerError(f"Waited {within:g} s for {what} in vain: {trouble.rstrip('.')}.")
            time.sleep(PAUSE_S)

    def model(self, task: str | None = None) -> JSON:
        """The global model: its ``round``, ``layout``, ``weights`` by tensor, as nested lists, and what was measured with it."""
        return self._ask("GET", "/model", task=task)

    def model_of(self, number: int, task: str | None = None) -> JSON:
        """The model of a round that is kept, as :meth:`model` has it."""
        return self._ask("GET", f"/models/{number}", task=task)

    def model_file(self, number: int, kind: str, task: str | None = None) -> bytes:
        """The weights of a round's model as a file: ``npz``, ``bin`` (float32 in the layout's order, little-endian) or ``json``."""
        kinds = {"npz": "application/x-npz", "bin": "application/octet-stream", "json": "application/json"}
        return self._content(self._fetch("GET", f"/models/{number}", None, kinds[kind], task=task))

    def graph(self, sha256: str) -> bytes:
        """The graph file with this digest, as clients fetch it."""
        return self._content(self._fetch("GET", f"/graphs/{sha256}.tflite"))

    def updates(self, weights: bool = False, task: str | None = None) -> dict[str, JSON]:
        """Measures of each client's latest update, with its weights if they are wanted."""
        return self._ask("GET", "/model/clients", weights=int(weights), task=task)

    def metrics(self) -> str:
        """What Prometheus reads, as text."""
        return self._content(self._fetch("GET", "/metrics")).decode()

    def readings(
        self, since: float | None = None, limit: int | None = None, client: str | None = None, order: str | None = None, points: int = 0
    ) -> dict[str, JSON]:
        """Mirrored readings: ``{client: {channel: {"unit", "t", "value"}}}``, times in epoch seconds.

        They are the newest of each channel; with ``order="oldest"`` and a client its oldest after ``since``, up to a time until which
        none of its channels has more: whoever asks again from the last one on reads all of them. With ``points`` at most so many of
        each channel stand for all, the lowest and the highest of each stretch of time.

        Raises
        ------
        ServerRefused
            In private mode, where the server has none.
        """
        return dict(self._ask("GET", "/data/all", since=since, limit=limit, client=client, order=order, points=points or None)["clients"])

    def start(self, task: str | None = None, within: float = 0.0) -> JSON:
        """Start one round; while another runs, or too few clients are there, try again for ``within`` seconds."""
        until = time.monotonic() + within
        while True:
            try:
                return self._ask("POST", "/", task=task)
            except ServerRefused as error:
                if error.status not in (409, 503) or time.monotonic() >= until:
                    raise
            time.sleep(2 * PAUSE_S)

    def stop(self, task: str | None = None) -> JSON:
        """End asynchronous rounds with what has come; ``round`` is the one that ended, None where none was open."""
        return self._ask("POST", "/stop", task=task)

    def models(self, task: str | None = None) -> list[JSON]:
        """The rounds whose models are kept, ascending, each with what was found of its model: ``held_out``, ``champion``, ``pinned``."""
        return list(self._ask("GET", "/models", task=task)["models"])

    def evaluate(self, models: Sequence[int] = (), task: str | None = None) -> JSON:
        """Have clients try the models of these rounds, or the newest, without training; ``evaluation`` is its number."""
        return self._ask("POST", "/evaluations", models=",".join(map(str, models)) or None, task=task)

    def evaluations(self, since: int = 0, limit: int = 100, task: str | None = None) -> list[JSON]:
        """At most ``limit`` evaluations after number ``since``, ascending, each with what its clients found."""
        found: list[JSON] = self._ask("GET", "/evaluations", since=since, limit=limit, task=task)["evaluations"]
        return found

    def ended(self, number: int, within: float = 3600.0, told: Callable[[JSON], None] = lambda record: None) -> JSON:
        """Wait for the end of an evaluation, and return it.

        Parameters
        ----------
        within
            Seconds after which it is given up.
        told
            Called with what is known of it, again and again.

        Raises
        ------
        ServerError
            If the time is up, the server refuses, or does not answer.
        """
        until = time.monotonic() + within
        while True:
            record = self.evaluation(number)
            if record["state"] == "ended":
                return record
            if time.monotonic() > until:
                sentence = f"Waited {within:g} s for the end of evaluation {number} in vain: it goes on; see bramble evaluate --list."
                raise ServerError(sentence)
            told(record)
            time.sleep(2 * PAUSE_S)

    def evaluation(self, number: int) -> JSON:
        """One evaluation, with what its clients found."""
        return self._ask("GET", f"/evaluations/{number}")

    def rollback(self, number: int, task: str | None = None) -> JSON:
        """Make the model of an older round the global one again; ``round`` is the new commit's number."""
        return self._ask("POST", "/model/rollback", round=number, task=task)

    def tasks(self) -> list[JSON]:
        """What is learnt, the first task first: its manifest in short, its model's round, who can train it."""
        return list(self._ask("GET", "/tasks")["tasks"])

    def deploy(self, graph: bytes, signatures: str = "", settings: Iterable[str] = ()) -> JSON:
        """Have another task be learnt from here on; takes the scope ``admin``.

        Parameters
        ----------
        graph
            The graph file.
        signatures
            The content of the file of signatures beside it.
        settings
            What is set for this task alone, such as ``every=10m``.
        """
        signed = ",".join(signatures.split())
        return self._ask("POST", "/tasks", graph, signatures=signed or None, settings=",".join(settings) or None)

    def retire(self, task: str) -> JSON:
        """Have a deployed task be learnt no longer; takes the scope ``admin``."""
        return self._ask("DELETE", f"/tasks/{quote(task, safe='')}")

    def pin(self, number: int, task: str | None = None) -> JSON:
        """Have the model of a round be the champion, whatever comes."""
        return self._ask("POST", "/model/pin", round=number, task=task)

    def unpin(self, task: str | None = None) -> JSON:
        """Let the best model be the champion again; ``unpinned`` is the round of the one that was pinned, None where none was."""
        return self._ask("POST", "/model/unpin", task=task)

    def generate(self, count: int | None = None) -> JSON:
        """Start one data cycle of ``count`` readings; None takes as many as the server thinks right."""
        return self._ask("POST", "/generate", count=count)

    def reset(self, task: str | None = None) -> JSON:
        """Clear all of the server's data and return to the initial models; or one task's model and rounds, and no reading."""
        return self._ask("POST", "/reset", task=task)

    def _content(self, reply: requests.Response) -> bytes:
        if reply.status_code != 200:
            self._read(reply)  # raises what it says
        return reply.content

    def _ask(self, method: str, path: str, body: bytes | None = None, **query: float | str | None) -> JSON:
        return self._read(self._fetch(method, path, body, **query))

    def _fetch(
        self, method: str, path: str, body: bytes | None = None, accept: str = "application/json", /, **query: float | str | None
    ) -> requests.Response:
        params = {name: value for name, value in query.items() if value is not None}
        address = self.url + path
        try:
            return self._session.request(method, address, params, body, {"Accept": accept}, timeout=self._timeout, allow_redirects=False)
        except requests.exceptions.SSLError as error:
            raise ServerDown(f"The certificate of {self.url} is not trusted; name its authority with --ca.") from error
        except requests.exceptions.Timeout as error:
            raise ServerDown(f"The server at {self.url} did not answer within {self._timeout:g} s.") from error
        except (requests.exceptions.RequestException, OSError) as error:
            if speaks_no_http(error):
                raise ServerDown(f"What answers at {self.url} does not speak HTTP; check the address and the port.") from error
            raise ServerDown(f"No server answers at {self.url}; start one with `bramble server`.") from error

    def _read(self, reply: requests.Response) -> JSON:
        try:
            body = json.loads(reply.content, object_hook=shown)
        except ValueError:
            body = None
        if not isinstance(body, dict) or 300 <= reply.status_code < 400:
            raise ServerDown(f"What answers at {self.url} (status {reply.status_code}) is not a Bramble server; check --server.")
        if reply.status_code >= 400:
            sentence = str(body.get("error") or f"The server answered with status {reply.status_code}.")
            raise ServerRefused(reply.status_code, with_remedy(reply.status_code, sentence))
        return body
