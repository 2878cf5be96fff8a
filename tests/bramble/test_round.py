"""``bramble round``, with a real server and real clients."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import warm
from tests.edge_client.process import ClientProcess
from tests.server.process import ServerProcess


def bramble(*arguments: str, within: float = 120.0) -> subprocess.CompletedProcess[str]:
    return warm.run("bramble", *arguments, within=within)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, "--task", "climate", "--min-clients", "1") as made:
        yield made


def test_one_command_waits_for_clients_readings_and_the_round(server: ServerProcess, tmp_path: Path) -> None:
    command = ["round", "start", "--server", server.url, "--generate", "100", "--wait"]
    with warm.Popen("bramble", *command, stdout=subprocess.PIPE, text=True) as starting:  # before there is any client
        with ClientProcess(server.url, tmp_path):
            out, _ = starting.communicate(timeout=120)
    assert starting.returncode == 0, out
    first, second, third = out.splitlines()
    assert first == "cycle 1: 1 clients took 100 readings each"
    assert second == "round 1: asked pi-1"
    assert third.startswith("round   1  1 clients")
    assert "loss" in third
    record = server.api.round(1)
    assert record["clients"]["pi-1"]["samples"] > 50, "it trained on what was generated for it"


def test_it_waits_for_a_server_that_is_still_starting(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as first:
        port = first.port
    done = bramble("round", "start", "--server", f"http://127.0.0.1:{port}", "--wait", "--within", "1s")
    assert done.returncode == 1
    assert "Waited 1 s for enough clients in vain: No server answers at" in done.stderr


def test_an_abandoned_round_is_exit_code_1_with_the_reason(server: ServerProcess, tmp_path: Path) -> None:
    with ClientProcess(server.url, tmp_path) as client:
        client.wait_connected()
        done = bramble("round", "start", "--server", server.url, "--wait")  # nothing was measured yet
    assert done.returncode == 1
    assert "round   1  abandoned: " in done.stdout


def test_without_enough_clients_a_start_that_does_not_wait_is_refused_in_a_sentence(server: ServerProcess) -> None:
    done = bramble("round", "start", "--server", server.url)
    assert done.returncode == 1
    assert done.stderr.startswith("bramble: ")
    assert done.stderr.count("\n") == 1


def test_the_rounds_are_listed_one_a_line_and_as_json(server: ServerProcess, tmp_path: Path) -> None:
    assert "no round yet" in bramble("round", "list", "--server", server.url).stdout
    with ClientProcess(server.url, tmp_path):
        for _ in range(2):
            assert bramble("round", "start", "--server", server.url, "--generate", "60", "--wait").returncode == 0
    lines = bramble("round", "list", "--server", server.url).stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["round", "1"], ["round", "2"]]
    rounds = json.loads(bramble("round", "list", "--server", server.url, "--json").stdout)
    assert [record["state"] for record in rounds] == ["committed", "committed"]


def test_a_round_says_what_it_went_by_and_each_client_s_part(server: ServerProcess, tmp_path: Path) -> None:
    with ClientProcess(server.url, tmp_path) as client:
        client.wait_connected()
        server.measure(100)
        server.play()
    listed = bramble("round", "list", "--server", server.url).stdout
    assert listed.rstrip().endswith("fedavg  float32")
    lines = bramble("round", "show", "1", "--server", server.url).stdout.splitlines()
    assert lines[0].startswith("round   1  1 clients")
    assert lines[1:4] == ["  strategy fedavg", "  codec float32", "  discipline synchronous"]
    assert lines[4].startswith("  seed ")
    assert lines[5] == "  cohort of 1 clients, 1 updates counted"
    assert lines[7].split()[0] == "pi-1"
    assert json.loads(bramble("round", "show", "1", "--json", "--server", server.url).stdout) == server.api.round(1)
    done = bramble("round", "show", "9", "--server", server.url)
    assert (done.returncode, "there is no round 9" in done.stderr) == (1, True)
