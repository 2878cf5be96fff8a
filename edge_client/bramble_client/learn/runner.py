"""Runs graphs in one process beside the client's: a graph that crashes, swallows memory or never ends costs a round, not the client."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_client.learn.frames import Arrays, Frames, Malformed
from bramble_client.learn.runtime import GraphFailed, RuntimeMissing
from bramble_protocol.clock import Clock
from bramble_protocol.python_path import python_path

SMALL = 4096
"""Bytes that any graph may answer beyond those it was given: a loss, an error, a baseline."""
_ERRORS = {"RuntimeMissing": RuntimeMissing}


class Runner:
    """A lasting process with the runtime and one graph in it, started when it is first needed and again after it died.

    This process itself never loads the runtime. One call at a time: a thread that means to make several of one graph holds ``turn``;
    :meth:`close` may be called from anywhere. The process ends with the thread that started it, or with this process.

    Parameters
    ----------
    memory_mb
        What that process may take, in MB; half of the machine's memory by default.
    clock
        Says when what was asked for has taken too long.
    """

    def __init__(self, memory_mb: int | None = None, clock: Clock = time) -> None:
        self._clock = clock
        self.memory_mb = memory_mb or half_of_the_machine()
        self.runtime = ""
        """Name of the runtime that it found, once it has loaded a graph."""
        self.signatures: frozenset[str] = frozenset()
        """Names of the signatures of the graph that it has loaded."""
        self._process: subprocess.Popen[bytes] | None = None
        self._frames: Frames | None = None
        self._put_down: Callable[[], object] = lambda: None
        self._graph: str | None = None
        self._answer = SMALL
        self._limits = threading.local()
        self.turn = threading.RLock()
        """Held while something is asked."""
        self._ending = threading.Lock()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return None if self._process is None else self._process.pid

    def allow(self, seconds: float) -> None:
        """Let what this thread asks for from now on take so long in all; what takes longer is ended."""
        self._limits.seconds, self._limits.until = seconds, self._clock.monotonic() + seconds

    @property
    def alive(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    def holds(self, sha256: str) -> bool:
        """Return whether this graph is loaded, in a process that is alive."""
        return self._graph == sha256 and self.alive

    def load(self, sha256: str, flatbuffer: bytes, answer: int = 0) -> None:
        """Load a graph, in place of any other.

        Parameters
        ----------
        sha256
            Its digest.
        flatbuffer
            The graph.
        answer
            Bytes of outputs that one call of it may give.

        Raises
        ------
        RuntimeMissing
            If no runtime is installed.
        GraphFailed
            If the graph cannot be loaded, or its process died of it.
        """
        with self.turn:
            self._graph, self._answer = None, SMALL + answer
            if not self.alive:
                self._start()
            self._ask("loading", {}, {"graph": np.frombuffer(flatbuffer, np.uint8)})
            self._graph = sha256

    def __call__(self, signature: str, **inputs: Any) -> dict[str, NDArray[np.float32]]:
        """Run one signature, as :meth:`bramble_client.learn.runtime.Runtime.__call__` does.

        Raises
        ------
        GraphFailed
            If it does not take these arguments or gives up, its process died, or it took too long or too much.
        """
        with self.turn:
            return self._ask(signature, {"signature": signature}, {name: np.asarray(value) for name, value in inputs.items()})

    def close(self) -> None:
        """End the process, even in the middle of a run, which then fails; it is not started again."""
        with self._ending:
            self._closed = True
            self._put_down()

    def _start(self) -> None:
        self._put_down()
        ours, theirs = socket.socketpair()
        # Nothing that is set for the client is set for it; numpy's threads would each take memory and add nothing.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRAMBLE_", "PYTHON", "NOTIFY_", "CREDENTIALS_"))}
        environment = {
            **kept,
            "PYTHONPATH": python_path("bramble_client", "bramble_protocol"),
            "OPENBLAS_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        command = [sys.executable, "-P", "-m", "bramble_client.learn.runner_process", str(os.getpid()), str(self.memory_mb << 20)]
        with theirs, self._ending:
            if self._closed:
                ours.close()
                raise GraphFailed("graph: the client is stopping")
            # In a process group of its own, so that a terminal's Ctrl-C reaches the client alone.
            self._process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd="/",
                process_group=0,
            )
            self._frames = Frames(ours, self._clock)
            self._put_down = weakref.finalize(self, _put_down, self._process, self._frames)

    def _ask(self, what: str, head: dict[str, Any], arrays: Arrays) -> dict[str, NDArray[Any]]:
        frames = self._frames
        if frames is None:
            raise GraphFailed("graph: none is loaded")
        frames.until = getattr(self._limits, "until", math.inf)
        try:
            frames.send(head, arrays)
            answer, results = frames.receive(sum(array.nbytes for array in arrays.values()) + self._answer)
        except TimeoutError:
            self._end()
            within = f"within the {self._limits.seconds:g} s of the round"
            sentence = f"graph: {what} did not end {within} and was ended; lower epochs or raise the deadline"
            raise GraphFailed(sentence) from None
        except (EOFError, OSError):
            raise GraphFailed(f"graph: {what} ended its process ({self._death()}); the next round starts another") from None
        except Malformed as error:
            self._end()
            raise GraphFailed(f"graph: {what} gave what cannot be used ({error}); its process was ended") from None
        if "error" not in answer:
            self.runtime, self.signatures = str(answer.get("runtime")), _names(answer.get("signatures"))
            return results
        if answer["error"] == "MemoryError":
            self._end()
            raise GraphFailed(
                f"graph: {what} wants more than {self.memory_mb} MB; give it more with --training-memory, or lower batch_size"
            )
        raise _ERRORS.get(str(answer["error"]), GraphFailed)(str(answer.get("sentence", ""))[:1000])

    def _end(self) -> None:
        """End the process, which cannot be trusted any more; it starts anew with the next graph."""
        self._graph = self._frames = None
        self._put_down()

    def _death(self) -> str:
        """Wait for its end; return what it died of, in words."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may have closed its socket and live on
            self._process.wait(1.0)
        self._end()
        code = self._process.returncode
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"{name}: perhaps there was no memory left" if name in ("SIGKILL", "SIGABRT") else name


def _names(value: Any) -> frozenset[str]:
    return frozenset(name for name in value if isinstance(name, str)) if isinstance(value, list) else frozenset()


def _put_down(process: subprocess.Popen[bytes], frames: Frames) -> None:
    process.kill()
    process.wait()
    frames.close()


def half_of_the_machine() -> int:
    """Return half of this machine's memory in MB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 >> 20
