"""``bramble evaluate`` against a real server and real clients."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bramble.test_round import bramble
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.server.pi import Pi, hello
from tests.server.process import ServerProcess
from tests.waiting import wait_for

NAMES = ("pi-1", "pi-2")
CHANNELS = [{"key": "temperature", "unit": "°C"}, {"key": "humidity", "unit": "%"}, {"key": "pressure", "unit": "hPa"}]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ExitStack() as stack:
        server = stack.enter_context(ServerProcess(tmp_path, "--task", str(CLIMATE), "--deadline", "2m"))
        clients = [stack.enter_context(ClientProcess(server.url, tmp_path, name=name)) for name in NAMES]
        for client in clients:
            client.wait_connected()
        server.measure(100)
        assert server.play()["state"] == "committed"
        for client in clients:
            client.delivered()
        yield server


def test_models_are_tried_on_what_they_were_not_trained_on_and_shown_in_every_form(server: ServerProcess, tmp_path: Path) -> None:
    untrained = server.api.clients()
    done = bramble("evaluate", "--server", server.url)
    assert done.returncode == 1, "everybody has just trained on all that is there"
    assert "round 1: no client had readings to try it on" in done.stdout
    assert done.stdout.count("0 windows are new since this client trained") == len(untrained)

    server.measure(30)
    with Pi(server.url, auth=hello("pi-old", channels=CHANNELS)):
        done = bramble("evaluate", "0", "1", "--server", server.url, "--json", "--csv", str(tmp_path / "errors.csv"))
    assert "pi-old is not asked: it cannot try models without training" in done.stderr
    record = json.loads(done.stdout)
    assert done.returncode == 0
    found = {name: record["clients"][name] for name in NAMES}
    assert {one["samples"] for one in found.values()} == {30}, "as many windows as there are new readings, for both models"
    for number in ("0", "1"):
        squares = sum(one["samples"] * one["errors"][number] ** 2 for one in found.values())
        assert record["pooled"][number]["error"] == pytest.approx((squares / 60) ** 0.5)
    with (tmp_path / "errors.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["client", "round 0 [°C]", "round 1 [°C]", "baseline [°C]", "windows", "why not"]
    assert [row[0] for row in rows[1:]] == ["pi-1", "pi-2", "pi-old"]

    # what is new to it is what the next round's test-then-train calls new
    part = server.play()["clients"]["pi-1"]
    assert part["test_samples"] == 30
    assert part["test"]["error"] == pytest.approx(found["pi-1"]["errors"]["1"], rel=1e-5)

    # round 2 trained on them, and round 1 did not
    done = bramble("evaluate", "1", "--server", server.url, "--json")
    assert json.loads(done.stdout)["clients"]["pi-1"]["errors"]["1"] == pytest.approx(found["pi-1"]["errors"]["1"], rel=1e-6)
    assert bramble("evaluate", "1", "2", "--server", server.url).returncode == 1

    matrix = bramble("evaluate", "--matrix", "--server", server.url).stdout.splitlines()
    assert matrix[0].split() == ["client", "round", "0", "round", "1"]
    assert [line.split()[0] for line in matrix[1:]] == [*NAMES]
    listed = bramble("evaluate", "--list", "--server", server.url).stdout.splitlines()
    assert [line.split()[0] for line in listed[1:]] == ["1", "2", "2", "3", "4", "4"]


def test_what_cannot_be_tried_is_a_sentence_and_starts_nothing(server: ServerProcess) -> None:
    for arguments, sentence in (
        (("7",), "the model of round 7 is not kept; there are those of rounds 1"),
        (("1", "1"), "expected at most 8 different integers"),
        (("--task", "nothing"), "'nothing' is not served here"),
        (("--list", "--matrix"), "exclude each other"),
        (("1", "--list"), "no models are named beside it"),
        (("--csv", "/nowhere/errors.csv", "--list"), "cannot be written"),
    ):
        done = bramble("evaluate", *arguments, "--server", server.url)
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert sentence in done.stderr
    assert server.api.evaluations() == []


def test_an_evaluation_outlives_its_server_and_waits_for_who_comes_back(tmp_path: Path) -> None:
    flags = ("--task", str(CLIMATE), "--deadline", "5m")
    hello_mute = hello("pi-mute", protocol=2, features=["sections", "evaluate"], channels=CHANNELS)
    with ServerProcess(tmp_path, *flags) as server, ClientProcess(server.url, tmp_path) as client:
        client.wait_connected()
        server.api.generate(60)
        with Pi(server.url, auth=hello_mute) as mute:
            number = server.api.evaluate()["evaluation"]
            first = mute.next("evaluate")
            wait_for(lambda: server.api.evaluation(number)["clients"]["pi-1"]["samples"], "the one that answers")
            server.kill()
        with ServerProcess(tmp_path, *flags, port=server.port) as again, Pi(again.url, auth=hello_mute) as mute:
            asked = mute.next("evaluate")
            assert {**asked, "deadline_s": 0} == {**first, "deadline_s": 0}
            assert asked["deadline_s"] <= first["deadline_s"]
            answer = {"evaluation": number, "samples": 10, "baseline": 4.0, "errors": dict.fromkeys(asked["models"], 9.0)}
            assert [mute.call("evaluated", answer) for _ in range(2)] == [
                {"accepted": True},
                {"accepted": False, "reason": "evaluation over"},
            ]
            found = again.api.evaluation(number)
            assert (found["state"], found["pooled"]["0"]["clients"]) == ("ended", 2)
            assert found["clients"]["pi-mute"]["errors"] == {"0": 3.0}
    assert client.logged("evaluation 1 of climate: tried 1 models") == 1
