"""Curves for TensorBoard and MLflow: what each round came to, as it ends. Nobody waits for them, and nothing fails by them."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from bramble_protocol.errors import BrambleError

log = logging.getLogger(__name__)

WANTED = "expected tensorboard:FOLDER or mlflow:ADDRESS, such as tensorboard:runs or mlflow:http://127.0.0.1:5001"
WAITING = 1000
"""Rounds that may wait to be written; of more the newest are lost."""
PATIENCE = 10.0
"""Seconds that an answer, and at the end all that waits, may take."""


class Writer(Protocol):
    """Writes scalars of one run."""

    def write(self, step: int, values: Mapping[str, float], at: float) -> None:
        """Write what was known of a step at a time, seconds since 1970."""

    def close(self, finished: bool) -> None:
        """End the run."""


def checked(where: str) -> str:
    """Return where curves go if that is a place.

    Raises
    ------
    ValueError
        If it is none.
    """
    kind, _, place = where.partition(":")
    if kind not in _KINDS or not place or (kind == "mlflow" and not place.startswith(("http://", "https://"))):
        raise ValueError(WANTED)
    return where


def begun(where: str, name: str, about: Mapping[str, Any]) -> Tracking:
    """Begin a run.

    Parameters
    ----------
    where
        As :func:`checked` has it.
    name
        What the run is called.
    about
        What it was given, in words; of MLflow's runs these are the parameters.

    Raises
    ------
    BrambleError
        If what writes it is not installed, or the place cannot be written to.
    """
    kind, _, place = where.partition(":")
    return Tracking(_KINDS[kind](place, name, about), where)


class Tracking:
    """One run's curves, written by a thread of their own."""

    def __init__(self, writer: Writer, where: str) -> None:
        self._writer, self._where, self._failed = writer, where, False
        self._queue: queue.Queue[tuple[int, dict[str, float], float] | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._write, name="curves", daemon=True)
        self._thread.start()

    def round(self, number: int, values: Mapping[str, float | None]) -> None:
        """Note what a round came to; what is not known has no point."""
        known = {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}
        try:
            self._queue.put_nowait((number, known, time.time()))
        except queue.Full:
            self._say("it is too slow, and rounds are left out")

    def of_task(self, task: str, number: int, values: Mapping[str, float | None]) -> None:
        """Note what a round of one of several tasks came to."""
        self.round(number, {f"{task}/{name}": value for name, value in values.items()})

    def close(self, finished: bool = True) -> None:
        """Write what waits, for a while, and end the run."""
        try:
            self._queue.put(None, timeout=PATIENCE)
        except queue.Full:
            return
        self._thread.join(PATIENCE)
        if not self._thread.is_alive():
            self._carefully(lambda: self._writer.close(finished))

    def __enter__(self) -> Tracking:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close(kind is None)

    def _write(self) -> None:
        while (item := self._queue.get()) is not None:
            step, values, at = item
            self._carefully(lambda step=step, values=values, at=at: self._writer.write(step, values, at))  # type: ignore[misc]

    def _carefully(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:  # whatever a library or somebody's server does, rounds go on
            self._say(f"{error or type(error).__name__}")

    def _say(self, why: str) -> None:
        if not self._failed:
            self._failed = True
            log.warning("--log-to %s: some curves are not written (%s); rounds go on", self._where.partition("@")[0], why)


class _TensorBoard:
    def __init__(self, folder: str, name: str, about: Mapping[str, Any]) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ModuleNotFoundError as error:
            raise BrambleError(f"{error.name} is not installed; get it with: pip install 'bramble-fl[tensorboard]'") from error
        try:
            self._writer = SummaryWriter(str(Path(folder) / name))
        except OSError as error:
            raise BrambleError(f"--log-to: {folder} cannot be written to ({error.strerror})") from None

    def write(self, step: int, values: Mapping[str, float], at: float) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step, at)
        self._writer.flush()

    def close(self, finished: bool) -> None:
        self._writer.close()


class _MLflow:
    """MLflow's REST interface, version 2.0: its own package wants older versions of what Bramble takes."""

    EXPERIMENT = "bramble"

    def __init__(self, address: str, name: str, about: Mapping[str, Any]) -> None:
        import requests  # here, for this module is read with the settings, on a Pi too

        self._address, self._session = address.rstrip("/"), requests.Session()
        try:
            experiment = self._experiment()
            tags = [{"key": "mlflow.runName", "value": name}, {"key": "mlflow.source.name", "value": "bramble"}]
            started = {"experiment_id": experiment, "start_time": _ms(time.time()), "run_name": name, "tags": tags}
            self._run: str = self._ask("POST", "runs/create", started)["run"]["info"]["run_id"]
            known = [{"key": key, "value": str(value)[:500]} for key, value in about.items() if value is not None][:100]
            self._ask("POST", "runs/log-batch", {"run_id": self._run, "params": known})
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise BrambleError(f"--log-to: what answers at {address} is not an MLflow tracking server ({error})") from None

    def write(self, step: int, values: Mapping[str, float], at: float) -> None:
        metrics = [{"key": name, "value": value, "timestamp": _ms(at), "step": step} for name, value in values.items()]
        self._ask("POST", "runs/log-batch", {"run_id": self._run, "metrics": metrics})

    def close(self, finished: bool) -> None:
        ended = {"run_id": self._run, "status": "FINISHED" if finished else "FAILED", "end_time": _ms(time.time())}
        self._ask("POST", "runs/update", ended)
        self._session.close()

    def _experiment(self) -> str:
        found = self._session.get(
            f"{self._address}/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": self.EXPERIMENT}, timeout=PATIENCE
        )
        if found.status_code == 404:
            return str(self._ask("POST", "experiments/create", {"name": self.EXPERIMENT})["experiment_id"])
        found.raise_for_status()
        return str(found.json()["experiment"]["experiment_id"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        answer = self._session.request(method, f"{self._address}/api/2.0/mlflow/{path}", json=body, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json()


def _ms(at: float) -> int:
    return int(1000 * at)


_KINDS: dict[str, Callable[[str, str, Mapping[str, Any]], Writer]] = {"tensorboard": _TensorBoard, "mlflow": _MLflow}
