from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.asked import Refused, some_of, span, whole_number
from tests.fleet.kill import kill_all

ROOT = Path(__file__).parents[2]


def bench(name: str, variables: Mapping[str, str] = {}) -> subprocess.Popen[str]:
    # Ctrl-C is heard by whoever types at a terminal; what a shell begins in the background inherits that it is not.
    command = ["env", "--default-signal=INT", sys.executable, "-u", "-m", "bench", "--no-results", name]
    environment = {**os.environ, **variables}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


@pytest.mark.parametrize(
    ("text", "chosen"), [("20", range(20)), ("3", range(3)), ("5-8", range(4, 8)), ("1-1", range(1)), (None, range(20))]
)
def test_a_span_is_a_number_or_two(monkeypatch: pytest.MonkeyPatch, text: str | None, chosen: range) -> None:
    monkeypatch.setenv("CUTS", text) if text else monkeypatch.delenv("CUTS", raising=False)
    assert span("CUTS", 20) == chosen


@pytest.mark.parametrize("text", ["", "0", "21", "8-5", "-3", "three", "1.5", "0-3", "5-", "1-2-3"])
def test_a_span_that_is_none_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CUTS", text)
    with pytest.raises(Refused, match=f"^CUTS={text}: it has to be a number up to 20, or two with - between them$"):
        span("CUTS", 20)


@pytest.mark.parametrize("text", ["", "0", "-1", "ten", "1.5"])
def test_a_number_that_is_none_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HOSTS", text)
    with pytest.raises(Refused, match=f"^HOSTS={text}: it has to be a whole number from 1 on$"):
        whole_number("HOSTS", 10)


def test_an_unknown_name_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIPS", "lm75,lm76")
    with pytest.raises(Refused, match=r"^CHIPS: no lm76; expected some of lm75, tmp117$"):
        some_of("CHIPS", ["lm75", "tmp117"])


NOBODY = "import os, runpy, sys; os.geteuid = lambda: 65534; sys.argv[1:] = ['interrupted']; runpy.run_module('bench', run_name='__main__')"


def test_what_cannot_be_measured_here_is_one_sentence() -> None:
    said = subprocess.run([sys.executable, "-c", NOBODY], cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert said.stderr.splitlines() == [
        "interrupted: hosts boot for root only, and with .venv-fleet: run tests/fleet/run once, then this as root",
        "could not be measured: interrupted",
    ]


def test_a_wrong_variable_is_one_sentence() -> None:
    running = bench("ten_hosts", variables={"BRAMBLE_BENCH_HOSTS": "many"})
    assert running.communicate()[1].splitlines() == [
        "ten_hosts: BRAMBLE_BENCH_HOSTS=many: it has to be a whole number from 1 on", "could not be measured: ten_hosts",
    ]  # fmt: skip
    assert running.returncode == 1


def test_ctrl_c_ends_a_benchmark_with_one_sentence_and_all_that_it_began() -> None:
    running = bench("wire")
    assert running.stdout is not None
    try:
        assert running.stdout.readline() == "wire ...\n"
        os.killpg(running.pid, signal.SIGINT)
        assert running.communicate()[1] == "stopped: wire was not measured, and what was measured of it is not kept\n"
    finally:
        kill_all(running.pid)
    assert running.returncode == 130
    assert not [path for path in Path("/proc").glob("[0-9]*/stat") if session(path) == running.pid]


def session(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[3])
    except OSError:
        return 0
