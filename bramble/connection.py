"""A fleet for programs and notebooks: its history as tables, and rounds to start. ``bramble.connect`` makes one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from bramble.api import JSON, Server, ServerError
from bramble.frames import Table, table
from bramble_protocol import tables
from bramble_protocol.server_address import server_address

PAGE = 1000
"""Rounds, or readings of a channel, in one answer."""
Moment: TypeAlias = datetime | float


def connect(url: str = "http://127.0.0.1:5000", token: str | None = None, ca: Path | None = None, timeout: float = 10.0) -> Fleet:
    """Reach a server, and see that it answers.

    Parameters
    ----------
    url
        Its address.
    token
        An HTTP token of it (``bramble token --http NAME``), or None where it asks for none.
    ca
        PEM file of the authority that signed its certificate; None takes the system's.
    timeout
        Seconds to wait for each answer.

    Raises
    ------
    BrambleError
        If the address is none, nothing answers there, or the token opens nothing.
    """
    try:
        address = server_address(url)
    except ValueError as error:
        raise ServerError(f"{url!r}: {error}") from None
    fleet = Fleet(Server(address, token, ca, timeout))
    fleet.status()
    return fleet


class Fleet:
    """A server and its clients.

    What returns a table returns a pandas ``DataFrame`` where pandas is installed, and a list of dicts where it is not; the columns are
    those of :data:`bramble_protocol.tables.COLUMNS` either way, also where there is no row. Histories are whole: they are read page by
    page. Where a call takes a ``task``, it is about that one of the server's tasks; without it, about its first.

    Each call may raise :class:`bramble.ServerError`, whose text says what to do.

    Parameters
    ----------
    server
        What is asked, one endpoint at a time.
    """

    def __init__(self, server: Server) -> None:
        self.server = server

    def __repr__(self) -> str:
        return f"<Fleet at {self.server.url}>"

    def status(self, task: str | None = None) -> JSON:
        """What is learnt, in which mode, and how far it is."""
        return self.server.status(task)

    def rounds(self, task: str | None = None) -> Table:
        """All rounds that the server remembers, a row each."""
        return table("rounds", tables.rounds(self._rounds(task, clients=False)))

    def parts(self, task: str | None = None) -> Table:
        """What is known of each client's part in each round, a row for each of both."""
        return table("parts", tables.parts(self._rounds(task, clients=True)))

    def clients(self, task: str | None = None) -> Table:
        """Every client that was ever seen and not forgotten, a row each."""
        return table("clients", tables.clients(self.server.clients(task)))

    def models(self, task: str | None = None) -> Table:
        """The models that are kept, a row each; ``held_out_error`` is over readings that nobody had trained on."""
        return table("models", tables.models(self.server.models(task)))

    def readings(self, client: str | None = None, channel: str | None = None, since: Moment | None = None) -> Table:
        """Mirrored readings, a row each.

        Parameters
        ----------
        client, channel
            Only this one's.
        since
            Only those after it: a ``datetime`` with a time zone, or seconds since 1970.

        Raises
        ------
        ServerRefused
            In private mode, where the server has none.
        """
        return table("readings", tables.readings(self.columns(client, None if channel is None else (channel,), since)))

    def predictions(self, task: str | None = None, client: str | None = None, since: Moment | None = None) -> Table:
        """Mirrored forecasts of a task's target, a row each, beside what was measured then.

        ``measured`` is the mean of the readings in the forecast's bin, as the task takes it, and None where there are none, or not yet.
        ``difference`` is the forecast less that.

        Raises
        ------
        ServerRefused
            In private mode, where the server has none.
        """
        status = self.server.status(task)
        target, forecast, step = status["manifest"]["target"], status["forecast"], status["manifest"]["step_s"]
        found = self.columns(client, (target, forecast), since)
        return table("predictions", _compared(found, target, forecast, step))

    def evaluations(self, task: str | None = None) -> Table:
        """What clients found of models that they tried without training, a row for each evaluation, model and client; the last thousand."""
        return table("evaluations", tables.evaluations(self.server.evaluations(0, PAGE, task)))

    def evaluate(self, models: Sequence[int] = (), task: str | None = None, within: float = 3600.0) -> Table:
        """Have clients try models without training, wait for them, and return a row for each model and client.

        Parameters
        ----------
        models
            Rounds whose models are tried, 0 for the initial one; the newest without any.
        within
            Longest time to wait, in seconds. The evaluation goes on at the server afterwards.
        """
        number = self.server.evaluate(models, task)["evaluation"]
        return table("evaluations", tables.evaluations([self.server.ended(number, within)]))

    def start_round(self, wait: bool = False, generate: int | None = None, task: str | None = None, within: float = 300.0) -> tables.Row:
        """Start a round, and return what is known of it, as a row of :meth:`rounds`.

        Parameters
        ----------
        wait
            Wait for enough clients, for a round that runs already, and then for this one's end. Whether it came to a model is in ``state``.
        generate
            First have every client take so many readings, and wait until all have (evaluation mode).
        within
            Longest time to wait for each of these, in seconds.
        """
        server = self.server
        if wait:
            server.wait(lambda status: status["clients"] >= status["min_clients"], "enough clients", within, task=task)
        if generate is not None:
            server.generate(generate)
            server.wait(lambda status: not status["cycle_waiting_for"], "every client's readings", within)
        number = server.start(task, within if wait else 0.0)["round"]
        if wait:
            server.wait(lambda status: status["running"] != number, f"the end of round {number}", within, task=task)
        return next(tables.rounds([server.round(number)]))

    def _rounds(self, task: str | None, clients: bool) -> Iterator[JSON]:
        since = 0
        while page := self.server.rounds(since, PAGE, task, clients, order="oldest"):
            yield from page
            since = page[-1]["round"]

    def columns(
        self, client: str | None = None, channels: Iterable[str] | None = None, since: Moment | None = None
    ) -> dict[str, dict[str, JSON]]:
        """Mirrored readings by client and channel, each with its ``unit``, times ``t`` (seconds since 1970, ascending) and ``value``."""
        wanted = None if channels is None else set(channels)
        after = since.timestamp() if isinstance(since, datetime) else since
        found: dict[str, dict[str, JSON]] = {}
        for name in self.server.readings(limit=1, client=client):
            at = after
            while (last := _last(page := self.server.readings(at, PAGE, name, "oldest").get(name, {}))) is not None:
                for channel, column in page.items():
                    if wanted is None or channel in wanted:
                        kept = found.setdefault(name, {}).setdefault(channel, {"unit": column["unit"], "t": [], "value": []})
                        kept["t"] += column["t"]
                        kept["value"] += column["value"]
                at = last
        return found


def _last(page: Mapping[str, JSON]) -> float | None:
    """Return the time of a page's last reading, None where it has none."""
    return max((column["t"][-1] for column in page.values() if column["t"]), default=None)


def _compared(found: Mapping[str, Mapping[str, JSON]], target: str, forecast: str, step_s: float) -> Iterator[tables.Row]:
    for client, channels in found.items():
        bins: dict[int, list[float]] = {}
        measured = channels.get(target, {"t": [], "value": []})
        for at, value in zip(measured["t"], measured["value"], strict=True):
            if value is not None:
                bins.setdefault(int(at // step_s), []).append(value)
        column = channels.get(forecast, {"unit": "", "t": [], "value": []})
        for at, value in zip(column["t"], column["value"], strict=True):
            there = bins.get(int(at // step_s))
            mean = sum(there) / len(there) if there else None
            yield {
                "client": client,
                "time": datetime.fromtimestamp(at, UTC),
                "target": target,
                "unit": column["unit"],
                "forecast": value,
                "measured": mean,
                "difference": None if mean is None or value is None else value - mean,
            }
