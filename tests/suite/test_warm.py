"""A process that is forked from one with its imports behind it is like one that starts from nothing."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.waiting import wait_for

pytestmark = pytest.mark.process
Start = Callable[..., subprocess.Popen[str]]


def cold(package: str, *arguments: str, script: Path | None = None, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *([str(script)] if script else ["-m", package]), *arguments], **options)


WAYS = pytest.mark.parametrize("start", [cold, warm.Popen], ids=["cold", "warm"])
PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
TELLS = """
import os, resource, sys, time
print(sys.argv[1:], __name__, os.getcwd(), sys.path[0], os.environ["TOLD"], "UNTOLD" in os.environ, time.tzname[0])
print(os.getpid(), os.getsid(0) == os.getpid(), oct(os.umask(0)), resource.getrlimit(resource.RLIMIT_FSIZE)[0])
print(sys.stdin.read())
print("a warning", file=sys.stderr)
"""
ENDS = {
    "by itself": ("pass", 0),
    "with a code": ("raise SystemExit(7)", 7),
    "with a sentence": ("raise SystemExit('no')", 1),
    "with a bug": ("1 / 0", 1),
    "by a signal": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "by Ctrl-C": ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
    "without tidying up": ("import os; os._exit(3)", 3),
}


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    def write(body: str) -> Path:
        (tmp_path / "script.py").write_text(body)
        return tmp_path / "script.py"

    return write


@WAYS
def test_it_has_arguments_environment_folder_and_streams_of_its_own(
    start: Start, script: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTOLD", "a secret")
    mask, most = os.umask(0o27), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, most[1]))
    try:
        env = {"TOLD": "yes", "TZ": "Asia/Tokyo"}
        process = start("bramble", "a", "b c", script=script(TELLS), cwd="/", env=env, start_new_session=True, **PIPES)
    finally:
        os.umask(mask)
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    with process:
        out, err = process.communicate("what it is told\n", timeout=60)
    assert out.splitlines() == [
        f"['a', 'b c'] __main__ / {tmp_path} yes False JST", f"{process.pid} True 0o27 {1 << 30}", "what it is told", ""
    ]  # fmt: skip
    assert err == "a warning\n"
    assert process.returncode == 0


@WAYS
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("buffered", [True, False])
def test_its_end_is_told_as_it_was(start: Start, script: Callable[[str], Path], buffered: bool, end: str) -> None:
    body, code = ENDS[end]
    body = f"import atexit; atexit.register(print, 'tidied up')\nprint('before')\n{body}\n"
    with start("bramble", script=script(body), env={"PYTHONUNBUFFERED": "" if buffered else "1"}, **PIPES) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == code
    tidied = end not in ("by a signal", "without tidying up")
    assert out.split("\n")[:-1] == (["before", "tidied up"] if tidied else [] if buffered else ["before"])
    assert ("ZeroDivisionError" in err) == (end == "with a bug")


@WAYS
def test_it_is_waited_for_asked_about_and_ended(start: Start, script: Callable[[str], Path]) -> None:
    with start("bramble", script=script("import time; print('here', flush=True); time.sleep(600)"), **PIPES) as process:
        assert process.stdout
        assert process.stdout.readline() == "here\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
        process.terminate()
        assert process.wait(60) == -signal.SIGTERM
        assert process.poll() == -signal.SIGTERM
        process.send_signal(signal.SIGTERM)  # which nobody hears any more
    wait_for(lambda: not Path(f"/proc/{process.pid}").exists(), "nothing to be left of it")


@WAYS
def test_it_is_the_command_of_its_package(start: Start) -> None:
    with start("bramble", "--version", cwd=warm.ROOT, **PIPES) as process:
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out.split()[0]) == (0, "bramble")


def test_it_has_imported_its_package_before_its_first_line(script: Callable[[str], Path]) -> None:
    with warm.Popen("bramble_server", script=script("import sys; print('bramble_server.app' in sys.modules)"), **PIPES) as process:
        assert process.communicate(timeout=60)[0] == "True\n"
