"""The deployed server over HTTPS, asked from its own host with the operator's token."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.fleet.host import Host
from tests.fleet.wait import until

CURL = (
    "curl --silent --show-error --max-time 20 --cacert /etc/bramble/ca.crt "
    '--header "Authorization: Bearer $(cat /etc/bramble/operator.token)"'
)


def _of(task: str) -> str:
    return f"?task={task}" if task else ""


class Api:
    """The server's endpoints."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def get(self, path: str, method: str = "GET") -> Any:
        """Return the JSON answer, whatever its status."""
        return json.loads(self._host.output(f"{CURL} --request {method} 'https://localhost:5000{path}'"))

    def status(self, task: str = "") -> dict[str, Any]:
        """Return /status, of the first task if none is named."""
        status: dict[str, Any] = self.get(f"/status{_of(task)}")
        return status

    def connected(self) -> set[str]:
        """Return the ids of the clients that are there."""
        return {name for name, client in self.get("/clients")["clients"].items() if client["connected"]}

    def wait_for(self, clients: set[str], within: float = 60) -> None:
        """Wait until exactly these clients are there."""
        until(lambda: self.connected() == clients, f"exactly {sorted(clients)} to be connected", within)

    def wait(self, condition: Callable[[dict[str, Any]], bool], what: str, within: float = 90) -> None:
        """Wait until /status fulfils a condition."""
        until(lambda: condition(self.status()), what, within)

    def generate(self, count: int = 72) -> int:
        """Have every client measure a stretch; return the cycle once all of it is here."""
        cycle: int = self.get(f"/generate?count={count}", "POST")["cycle"]
        self.wait(lambda status: not status["cycle_waiting_for"], f"cycle {cycle}")
        return cycle

    def start_round(self, task: str = "") -> int:
        """Start a round and return its number; one that is running, perhaps to see a release through it, is waited for."""

        def started() -> int | None:
            answer = self.get(f"/{_of(task)}", "POST")
            assert "round" in answer or "is running" in answer["error"], answer
            number: int | None = answer.get("round")
            return number

        number = until(started, "a round to start", 120)
        assert number is not None
        return number

    def end_of(self, number: int, task: str = "") -> dict[str, Any]:
        """Wait for the end of a round and return its record."""
        until(lambda: self.status(task)["running"] is None, f"the end of round {number}", 120)
        record: dict[str, Any] = self.get(f"/rounds/{number}")
        return record

    def round(self) -> dict[str, Any]:
        """Run a whole round and return its record."""
        return self.end_of(self.start_round())

    def trained(self, number: int) -> set[str]:
        """Return the ids of the clients whose updates went into a round."""
        return {name for name, part in self.get(f"/rounds/{number}")["clients"].items() if part["samples"]}
