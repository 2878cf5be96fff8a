"""Processes of Bramble that have their imports behind them.

A server's imports take a processor longer than all that a test then does with it, and tests start servers by the hundred. So each of
pytest's processes keeps one Python that has imported a package and does nothing but fork: what it forks runs ``python -m PACKAGE`` or
a script from its first line on, with arguments, environment, folder and standard streams of its own, and is a process like any other to
signals, sockets and the disk. What a fresh interpreter would do otherwise (memory, ``/proc/PID/cmdline``, what is imported at all) is
for tests that start one.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import inspect
import io
import json
import os
import re
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "bramble": ["bramble.cli", "bramble.watch", "bramble.round", "bramble.model", "bramble.fleet", "bramble.client"],
    "bramble_client": ["bramble.cli", "bramble.resident"],
    "bramble_inspector": ["bramble.cli", "bramble_inspector.app"],
    "bramble_server": ["bramble.cli", "bramble_server.app", "bramble_server.foundation"],
}
"""What ``python -m`` one of them imports sooner or later."""
_LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_CORE)
_MOST = 1 << 20


class Popen(subprocess.Popen[Any]):
    """A process of Bramble's, started as :class:`subprocess.Popen` does it, by :func:`nursery`.

    Parameters
    ----------
    package
        Which of :data:`PACKAGES` it is.
    arguments
        What stands after ``python -m PACKAGE``.
    script
        A file to run instead, which goes on as that package.
    """

    def __init__(self, package: str, *arguments: str, script: Path | None = None, **options: Any) -> None:
        self._package, self._script = package, script
        self._status = -1
        super().__init__([sys.executable, *([str(script)] if script else ["-m", package]), *arguments], **options)

    def _execute_child(self, *given: Any) -> None:
        """Have it forked instead."""
        of = inspect.signature(subprocess.Popen._execute_child).bind(self, *given).arguments  # type: ignore[attr-defined]
        sys.audit("subprocess.Popen", of["executable"], of["args"], of["cwd"], of["env"])
        ends = [of[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")]
        streams = [end if end >= 0 else own for own, end in enumerate((ends[0], ends[3], ends[5]))]
        request = {
            "package": self._package,
            "script": self._script and str(self._script),
            "arguments": of["args"][2 if self._script else 3 :],
            "folder": str(of["cwd"] or Path.cwd()),
            "environment": dict(os.environ if of["env"] is None else of["env"]),
            "session": of["start_new_session"],
            "umask": int(re.search(r"^Umask:\s*(\d+)", Path("/proc/self/status").read_text(), re.M)[1], 8),  # type: ignore[index]
            "limits": {number: resource.getrlimit(number) for number in _LIMITS},
        }
        self._status, status = os.pipe()
        try:
            socket.send_fds(nursery(self._package), [json.dumps(request).encode()], [*streams, status])
        finally:
            os.close(status)
            self._close_pipe_fds(*ends)  # type: ignore[attr-defined]
        self.pid = int(self._told())
        self._child_created = True

    def _told(self) -> str:
        """Return the next line that is said of it."""
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self._status, 1)
            assert byte, "the process that forks is gone"
            line += byte
        return line.decode()

    def _try_wait(self, flags: int) -> tuple[int, int]:
        ready, _, _ = select.select([self._status], [], [], 0 if flags & os.WNOHANG else None)
        if not ready:
            return 0, 0
        code = int(self._told())
        os.close(self._status)
        return self.pid, code

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None:
            pid, code = self._try_wait(os.WNOHANG)
            if pid:
                self._handle_exitstatus(code)  # type: ignore[attr-defined]
        return self.returncode


def environment(**variables: str) -> dict[str, str]:
    """Return the tests' environment without anybody's settings, with these sources and what a test adds."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BRAMBLE_", "PYTHONPATH"))}
    return {**clean, "PYTHONPATH": str(ROOT), **variables}


def run(package: str, *arguments: str, within: float = 120, said: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with something said to it; return its exit code and what it said."""
    options: dict[str, Any] = {
        "stdin": subprocess.DEVNULL if said is None else subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    with Popen(package, *arguments, cwd=ROOT, env=environment(**variables), **options) as process:
        try:
            out, err = process.communicate(said, timeout=within)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@functools.cache
def nursery(package: str) -> socket.socket:
    """Return the way to a Python that has imported a package, and forks what is asked of it until this process ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BRAMBLE_")}
    environment |= {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}  # a process of several threads is not to fork
    with theirs:
        process = subprocess.Popen([sys.executable, __file__, package], stdin=theirs.fileno(), cwd=ROOT, env=environment)
    atexit.register(lambda: (ours.close(), process.wait()))
    return ours


def main(package: str) -> Callable[[], object]:
    """Fork until nobody asks any more; in what is forked, return what it shall do."""
    sys.path[0] = str(ROOT)
    for module in PACKAGES[package]:
        importlib.import_module(module)
    asked = socket.socket(fileno=os.dup(0))
    bell, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.set_wakeup_fd(ring)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is pytest's, which ends what it started
    forked: dict[int, int] = {}
    gc.freeze()
    while True:
        ready, _, _ = select.select([asked.fileno(), bell], [], [])
        if bell in ready:
            os.read(bell, _MOST)
            while forked:
                pid, code = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                _tell(forked[pid], code)
                os.close(forked.pop(pid))
        if asked.fileno() in ready:
            request, ends, _, _ = socket.recv_fds(asked, _MOST, 4)
            if not request:
                sys.exit()
            *streams, status_end = ends
            pid = os.fork()
            if pid == 0:
                for end in (asked.detach(), bell, ring, status_end, *forked.values()):
                    os.close(end)
                return functools.partial(_become, json.loads(request), streams)
            for end in streams:
                os.close(end)
            forked[pid] = status_end
            _tell(status_end, pid)


def _tell(status: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # who asked is gone
        os.write(status, b"%d\n" % number)


def _become(request: dict[str, Any], streams: Sequence[int]) -> None:
    """Be what a fresh interpreter with these arguments would be."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["session"]:
        os.setsid()
    for own, given in enumerate(streams):
        os.dup2(given, own)
    for given in streams:
        os.close(given)
    os.umask(request["umask"])
    for number, limits in request["limits"].items():
        resource.setrlimit(int(number), limits)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.stdin = open(0, closefd=False)
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
    else:
        sys.stdout = open(1, "w", buffering=1 if os.isatty(1) else -1, closefd=False)
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    script = request["script"]
    sys.argv[:] = [script or request["package"], *request["arguments"]]
    sys.path[0] = str(Path(script).parent) if script else request["folder"]
    if script:
        runpy.run_path(script, run_name="__main__")
    else:
        runpy.run_module(request["package"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])()
