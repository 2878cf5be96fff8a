"""The training process: holds the TensorFlow Lite runtime and one graph, and runs it for the client that started it.

Started by :class:`bramble_client.learn.runner.Runner`, with the client's process id and a limit of memory in bytes as arguments and a
socket as its standard input. It may crash at any time: nothing is kept here.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bramble_client.learn.frames import Frames, Malformed
from bramble_client.learn.runtime import Runtime
from bramble_client.machine import allocator
from bramble_protocol.errors import BrambleError

MOST = 1 << 31
"""Bytes of one call's arguments; the limit of memory is what counts."""
_PR_SET_PDEATHSIG = 1


def serve(frames: Frames) -> None:
    """Load and run what is asked for until the client is gone."""
    runtime: Runtime | None = None
    while True:
        try:
            head, arrays = frames.receive(MOST)
        except (EOFError, OSError):
            return
        results: dict[str, NDArray[Any]] = {}
        try:
            if runtime is not None and "signature" in head:
                results = runtime(head["signature"], **arrays)
            else:
                runtime = None  # not two at once
                runtime = Runtime(arrays.pop("graph").tobytes())
                allocator.let_go()
            arrays.clear()
            frames.send({"runtime": runtime.name, "signatures": sorted(runtime.signatures)}, results)
        except MemoryError:
            frames.send({"error": "MemoryError", "sentence": ""})
        except (BrambleError, Malformed) as error:
            frames.send({"error": type(error).__name__, "sentence": str(error)[:1000]})
        except OSError:
            return
        except Exception as error:  # a graph may bring the runtime's Python half to raise anything
            frames.send({"error": type(error).__name__, "sentence": f"graph: {type(error).__name__}: {error}"[:1000]})


def limit(parent: int, most: int) -> None:
    """End with the client, take no more memory than allowed, and be the first to go when the machine has none left."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before we could ask
        sys.exit()
    # systemd ends a service by a signal to each of its processes; whether a run still counts is for the client to say
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    # the data segment, not the address space: the runtimes reserve far more of that than they use
    _, allowed = resource.getrlimit(resource.RLIMIT_DATA)
    most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    # a core file would hold readings
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    allocator.frugal()
    limit(int(sys.argv[1]), int(sys.argv[2]))
    serve(Frames(socket.socket(fileno=0)))
