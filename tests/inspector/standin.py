"""A server whose state a test writes by hand: for states that are hard to bring about in the real one.

It speaks only the HTTP shapes that the inspector reads. What the fleet does is decided here, not computed.
"""

from __future__ import annotations

import contextlib
import json
import math
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

STEP = 3600.0
T0 = 1_672_531_200.0  # 2023-01-01T00:00Z
MANIFEST = {
    "format": 1,
    "task": "climate",
    "description": "Forecast the temperature three hours ahead",
    "channels": [{"key": "temperature", "unit": "°C"}, {"key": "humidity", "unit": "%"}, {"key": "pressure", "unit": "hPa"}],
    "window": 24,
    "step_s": STEP,
    "horizon": 3,
    "target": "temperature",
    "metric": {"name": "RMSE", "unit": "°C", "transform": "sqrt", "baseline": "persistence: in three hours it will be as now"},
    "config": {"epochs": 1, "batch_size": 32, "learning_rate": 0.01, "seed": 0, "proximal_mu": 0.0, "deadline_s": 60.0},
}


class Standin:
    """A scripted server. Tests change ``state`` (the answers by path) and call ``touch``, which raises the revision."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.token: str | None = None
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.clear()
        self._port = 0
        self.up()

    def clear(self) -> None:
        self.answers.clear()
        self.status: dict[str, Any] = {
            "revision": 1, "version": "0.1.0", "task": "climate", "mode": "evaluation", "round": 0, "running": None, "waiting_for": [],
            "clients": 0, "min_clients": 2, "cycle": 0, "cycle_waiting_for": [], "manifest": MANIFEST,
        }  # fmt: skip
        self.clients: dict[str, Any] = {}
        self.never_seen: list[str] = []
        self.rounds: list[dict[str, Any]] = []
        self.updates: dict[str, Any] = {}
        self.data: dict[str, Any] = {}

    def touch(self, **status: Any) -> None:
        self.status |= {"revision": self.status["revision"] + 1, **status}

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}"

    def up(self) -> None:
        """Listen, on the same port as before."""
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                code, body = standin.answer(self.command, self.path, self.headers.get("Authorization"))
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def process_request_thread(self, request: Any, address: Any) -> None:
                connections.add(request)
                super().process_request_thread(request, address)

            def handle_error(self, request: Any, address: Any) -> None:
                pass  # the other end of a connection that down() closed

        connections: set[Any] = set()
        self._connections = connections
        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def down(self) -> None:
        """Stop listening and hang up on everybody."""
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._thread.is_alive():
            self.down()

    def answer(self, method: str, target: str, authorization: str | None) -> tuple[int, Any]:
        path, query = urlsplit(target).path, dict(parse_qsl(urlsplit(target).query))
        self.asked.append((method, path, query))
        self.gate.wait(30)
        if self.token is not None and authorization != f"Bearer {self.token}":
            return 401, {"error": "This server asks for a token."}
        if (method, path) in self.answers:
            return self.answers[method, path]
        if path == "/status":
            return 200, self.status
        if path == "/clients":
            return 200, {"clients": self.clients, "never_seen": self.never_seen}
        if path == "/rounds":
            newer = [entry for entry in self.rounds if entry["round"] > int(query.get("since", 0))]
            return 200, {"rounds": newer[-int(query.get("limit", 100)) :]}
        if path == "/model/clients":
            return 200, self.updates
        if path == "/data/all":
            if self.status["mode"] == "private":
                return 403, {"error": "This server is in private mode and keeps no readings."}
            return 200, {"clients": self._readings(query)}
        return 404, {"error": f"There is no {path} here."}

    def _readings(self, query: dict[str, str]) -> dict[str, Any]:
        since, limit = float(query.get("since", "-inf")), int(query.get("limit", 10**9))
        result: dict[str, Any] = {}
        for client, channels in self.data.items():
            if query.get("client", client) == client:
                for key, column in channels.items():
                    kept = [(t, v) for t, v in zip(column["t"], column["value"], strict=True) if t > since][-limit:]
                    series = {"unit": column["unit"], "t": [t for t, _ in kept], "value": [v for _, v in kept]}
                    result.setdefault(client, {})[key] = series
        return result

    def add_clients(self, *names: str) -> None:
        for name in names:
            channels = MANIFEST["channels"]
            now = time.time()
            info = {"connected": True, "simulated": True, "version": "0.1.0", "channels": channels, "since": now, "last_seen": now}
            self.clients[name] = {**info, "last_cycle": None, "training": False}
        self.touch(clients=sum(info["connected"] for info in self.clients.values()))

    def leave(self, name: str, seconds_ago: float = 0.0) -> None:
        self.clients[name] |= {"connected": False, "last_seen": time.time() - seconds_ago}
        self.touch(clients=sum(info["connected"] for info in self.clients.values()))

    def add_readings(self, count: int, *names: str) -> None:
        """Give each client (or those named) ``count`` more hours of a smooth, plausible climate, with forecasts from hour 27 on."""
        for index, name in enumerate(self.clients):
            if names and name not in names:
                continue
            columns = self.data.setdefault(name, {})
            start = len(columns.get("temperature", {"t": []})["t"])
            for hour in range(start, start + count):
                for key, unit, value in self._weather(index, hour):
                    column = columns.setdefault(key, {"unit": unit, "t": [], "value": []})
                    column["t"].append(T0 + hour * STEP)
                    column["value"].append(value)
        self.touch(cycle=self.status["cycle"] + 1)

    @staticmethod
    def _weather(index: int, hour: int) -> list[tuple[str, str, float]]:
        day, drift = math.sin(2 * math.pi * (hour - 9) / 24), math.sin(hour / 61 + index)
        warm = round(8 + 5 * (index % 6) + 4.5 * day + 3.2 * drift, 2)
        rows = [
            ("temperature", "°C", warm),
            ("humidity", "%", round(62 - 14 * day + 8 * drift, 1)),
            ("pressure", "hPa", round(1013 + 7 * math.sin(hour / 83 + index) - index % 5, 1)),
        ]
        if hour >= 27:
            rows.append(("temperature.forecast", "°C", round(warm + 1.1 * math.sin(hour * 1.7 + index), 2)))
        return rows

    def add_round(self, state: str = "committed", reason: str | None = None, **clients: dict[str, Any]) -> int:
        number = len(self.rounds) + 1
        measures = {name: self._measures(index, number) | clients.get(name, {}) for index, name in enumerate(self.clients)}
        mean = {
            key: sum(one[key] for one in measures.values()) / len(measures)
            for key in ("loss_before", "loss_after", "test_error", "test_baseline")
        }
        committed = state == "committed"
        self.rounds.append(
            {
                "round": number, "state": state, "reason": reason, "started": T0 + number * 60, "ended": T0 + number * 60 + 1.8,
                "selected": len(measures), "updates": len(measures) if committed else 0,
                "metrics": mean | {"test_samples": 24 * len(measures)} if committed else {}, "clients": measures,
            }
        )  # fmt: skip
        if committed:
            self.updates = {
                name: {"round": number, "samples": one["samples"], "metrics": one}
                | {key: one[key] for key in ("update_norm", "cosine", "distance")}
                for name, one in measures.items()
            }
        self.touch(round=number if committed else self.status["round"])
        return number

    def add_models(self) -> None:
        """Keep the models of the rounds so far, as tried at the sites a and b, and the newest one's weights."""
        held = {"metric": "RMSE", "unit": "°C", "error": 1.5, "baseline": 2.0, "samples": 100}
        said = {"strategy": {"name": "fedprox", "parameters": {"mu": 0.1}}, "rollback_of": None, "worse": 0, "held_out": held}
        newest = len(self.rounds)
        models = [{**one, **said, "champion": one["round"] == newest, "pinned": False} for one in self.rounds]
        errors = {"a": (2.0, 1.9, 1.5), "b": (1.0, 1.2, 1.1)}
        tried: dict[str, dict[str, Any]] = {
            name: {"samples": 10, "baseline": baseline, "errors": {str(newest - 1): older, str(newest): newer}, "reason": None}
            for name, (baseline, older, newer) in errors.items()
        }
        tried["c"] = {"samples": None, "baseline": None, "errors": None, "reason": "no new windows"}
        weights = {"dense/kernel": [[0.1, 0.2], [0.3, -0.4]] * 4, "dense/bias": [0.0]}
        trial = {"evaluation": 1, "models": [newest - 1, newest], "clients": tried, "ended": T0}
        self.answers |= {
            ("GET", "/models"): (200, {"models": models}),
            ("GET", "/evaluations"): (200, {"evaluations": [trial]}),
            ("GET", f"/models/{newest}"): (200, {"round": newest, "weights": weights}),
        }
        self.touch()

    @staticmethod
    def _measures(index: int, number: int) -> dict[str, Any]:
        fall = 0.04 + 0.2 * math.exp(-number / 6)
        wobble = 1 + 0.12 * math.sin(3.1 * number + 2 * index)
        baseline = 4.2 + 0.5 * math.sin(number / 3 + index)
        return {
            "sent": T0 + number * 60, "received": T0 + number * 60 + 0.1, "train_start": T0 + number * 60 + 0.2,
            "train_end": T0 + number * 60 + 1.2, "replied": T0 + number * 60 + 1.4, "bytes": 11_396, "samples": 140 + 24 * number,
            "loss_before": fall * wobble * (1 + index % 5 / 8), "loss_after": 0.86 * fall * wobble * (1 + index % 5 / 8),
            "test_error": baseline * (0.45 + 0.9 * math.exp(-number / 5)) * wobble, "test_baseline": baseline, "test_samples": 24,
            "update_norm": 0.3 * fall * wobble * 5, "cosine": 0.55 + 0.3 * math.sin(index + number / 4), "distance": fall * wobble * 1.2,
            "reason": None,
        }  # fmt: skip
