"""Training against everything that happens meanwhile, with real processes on real sockets."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bramble_client.deliver.link import Link
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import Timing, TrainingComplete
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.network import Proxy
from tests.server.pi import hello
from tests.server.process import ServerProcess
from tests.waiting import wait_for

READINGS = 3000
LONG = ("--epochs", "450", "--batch-size", "4", "--learning-rate", "1e-4")
"""With so many readings, a run of several seconds."""
ENDLESS = ("--epochs", "1000", "--batch-size", "1", "--learning-rate", "1e-5")
"""With so many readings, a run of half a minute or more."""
PING_S = 1.0
"""Whole seconds: Engine.IO announces no fractions of them."""
BRISK = ("--ping-interval", str(PING_S), "--ping-timeout", str(PING_S))
"""For a test in which somebody falls silent, which is then one that depends on the machine's load."""


def serve(folder: Path, *flags: str) -> ServerProcess:
    return ServerProcess(folder, "--task", str(CLIMATE), "--deadline", "10m", *flags)


def begun(client: ClientProcess) -> None:
    """Wait until the first run is going on: it has all it needs from the server."""
    wait_for(lambda: list((client.folder / "graphs").glob("*.tflite")), "the graph")


@contextlib.contextmanager
def companion(server: ServerProcess) -> Iterator[Callable[[int], Any]]:
    """A second client, which keeps a round open until it is told to answer."""
    graph = GraphFile.read(CLIMATE.read_bytes())
    channels = [{"key": channel.key, "unit": channel.unit} for channel in graph.manifest.channels]
    link = Link(server.url, hello("companion", channels=channels))
    link.start()
    assert link.wait_up(30)

    def answer(number: int) -> Any:
        timing = Timing(1.0, 2.0, 3.0)
        message = TrainingComplete(number, graph.manifest.layout, "float32", graph.initial, 1, {}, timing)
        return link.call("training_complete", message.to_wire(), 30)

    try:
        yield answer
    finally:
        link.stop()


@pytest.mark.load
def test_a_run_that_outlasts_the_pings_costs_no_heartbeat_and_its_update_arrives(tmp_path: Path) -> None:
    with serve(tmp_path, "--min-clients", "1", *BRISK, *LONG) as server, ClientProcess(server.url, tmp_path) as client:
        client.wait_connected()
        server.measure(READINGS)
        since = server.api.clients()["pi-1"]["since"]
        record = server.play()
        part = record["clients"]["pi-1"]
        assert part["train_end"] - part["train_start"] > 2 * PING_S, "the run was too short to show anything"
        assert record["state"] == "committed"
        assert part["samples"] > 2900
        assert server.api.clients()["pi-1"]["since"] == since
        assert client.logged("lost the connection") == 0


def test_no_data_yet_is_an_honest_no_with_its_reason(tmp_path: Path) -> None:
    with serve(tmp_path, "--min-clients", "1") as server, ClientProcess(server.url, tmp_path) as client:
        client.wait_connected()
        record = server.play()
        assert record["state"] == "abandoned"
        assert "consecutive bins" in record["clients"]["pi-1"]["reason"]
        client.delivered()
        server.measure(60)
        assert server.play()["state"] == "committed"


@pytest.mark.load
def test_a_silent_cut_while_it_trains_is_noticed_and_the_update_is_delivered_once(tmp_path: Path) -> None:
    with serve(tmp_path, "--min-clients", "2", *BRISK, *LONG) as server, Proxy(server.port) as proxy:
        with ClientProcess(f"http://127.0.0.1:{proxy.port}", tmp_path) as client:
            client.wait_connected()
            server.measure(READINGS)
            with companion(server) as answer:
                number = server.api.start()["round"]
                begun(client)
                proxy.cut()
                wait_for(lambda: not server.api.clients()["pi-1"]["connected"], "the server to miss it")
                client.wait_log("lost the connection")
                proxy.mend()
                wait_for(lambda: server.api.status()["waiting_for"] == ["companion"], "the update")
                client.wait_log("round 1 of climate: the server took")
                assert answer(number) == {"accepted": True}
            record = server.ended(number)
            assert record["updates"] == 2
            assert record["clients"]["pi-1"]["reason"] is None
            assert client.logged("trained on") == 1
            assert client.logged("the server took") == 1
            client.delivered()


def test_a_killed_server_costs_neither_the_round_nor_the_work_for_it(tmp_path: Path) -> None:
    with serve(tmp_path, "--min-clients", "1", *LONG) as server, ClientProcess(server.url, tmp_path) as client:
        client.wait_connected()
        server.measure(READINGS)
        server.api.start()
        begun(client)
        server.kill()
        client.wait_log("lost the connection")
        with serve(tmp_path, "--min-clients", "1", "--port", str(server.port), "--epochs", "1") as again:
            client.wait_log("again")
            client.wait_log("round 1 of climate: the server took this client's update")
            record = again.ended(1)
            assert (record["state"], record["updates"]) == ("committed", 1)
            assert client.logged("lost the connection") == 1
            assert record["metrics"]["test_samples"] == record["clients"]["pi-1"]["samples"]


@pytest.mark.load
@pytest.mark.parametrize("late", [False, True], ids=["in time", "too late"])
def test_a_client_killed_with_an_unsent_update_delivers_it_when_it_is_back_and_forgets_it(tmp_path: Path, late: bool) -> None:
    with serve(tmp_path, "--min-clients", "2", *BRISK, *LONG) as server, Proxy(server.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        with companion(server) as answer:
            with ClientProcess(url, tmp_path) as client:
                client.wait_connected()
                wait_for(lambda: server.api.status()["clients"] == 2, "both")
                server.api.generate(READINGS)
                wait_for(lambda: server.api.status()["cycle_waiting_for"] == ["companion"], "its readings")
                number = server.api.start()["round"]
                begun(client)
                proxy.cut()
                wait_for(lambda: client.waiting()[:1] == ["training_complete"], "the result in the outbox")
                client.kill()
            wait_for(lambda: server.api.status()["clients"] == 1, "the server to miss it")
            if late:
                assert answer(number) == {"accepted": True}
                server.ended(number)
            proxy.mend()
            with ClientProcess(url, tmp_path) as client:
                client.wait_log("the server refused training_complete: round over" if late else "round 1 of climate: the server took")
                client.delivered()
                assert client.logged("round 1 of climate: training") == 0
                if not late:
                    assert server.api.status()["waiting_for"] == ["companion"]
                    assert answer(number) == {"accepted": True}
                assert server.ended(number)["updates"] == (1 if late else 2)


def test_clients_whose_time_is_up_hand_in_what_they_did_where_the_strategy_can_use_it(tmp_path: Path) -> None:
    endless = ("--epochs", "1000", "--batch-size", "1", "--deadline", "6s")
    with (
        ServerProcess(tmp_path, "--task", str(CLIMATE), "--min-clients", "2", "--strategy", "fednova", *endless) as server,
        ClientProcess(server.url, tmp_path, name="pi-1") as one,
        ClientProcess(server.url, tmp_path, name="pi-2") as two,
    ):
        one.wait_connected()
        two.wait_connected()
        server.measure(800)
        server.api.start()
        wait_for(lambda: server.api.status()["running"] is None, "the end")
        record = server.api.round(1)
        assert (record["state"], record["reason"]) == ("committed", None)
        for client in (one, two):
            assert re.search(r"ended after \d+ of \d+ steps: its time is up", client.log())


def test_a_run_that_outlasts_its_round_is_ended_and_the_next_round_is_trained(tmp_path: Path) -> None:
    with serve(tmp_path, "--min-clients", "1", "--deadline", "20s", *ENDLESS) as server, ClientProcess(server.url, tmp_path) as client:
        client.wait_connected()
        server.measure(READINGS)
        assert server.play()["state"] == "abandoned"
        wait_for(
            lambda: re.search(r"round 1 of climate: not trained: \d+ of \d+ steps are done with \d+ s left", client.log()), "it to say so"
        )
        server.api.start()
        client.wait_log("round 2 of climate: training")
        assert client.logged("lost the connection") == 0


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL], ids=lambda number: number.name)
def test_a_training_process_that_dies_costs_its_round_and_neither_link_nor_client(tmp_path: Path, number: signal.Signals) -> None:
    with serve(tmp_path, "--min-clients", "1", *ENDLESS) as server, ClientProcess(server.url, tmp_path) as client:
        client.wait_connected()
        since = server.api.clients()["pi-1"]["since"]
        server.measure(READINGS)
        server.api.start()
        begun(client)
        (training,) = wait_for(client.children, "the training process")
        maps = Path(f"/proc/{client.process.pid}/maps").read_text()
        assert "litert" not in maps, "the client's own process holds no runtime"
        os.kill(training, number)
        record = server.ended(1)
        assert record["state"] == "abandoned"
        assert number.name in record["clients"]["pi-1"]["reason"]
        assert "the next round starts another" in record["clients"]["pi-1"]["reason"]
        server.measure(10)
        server.api.start()
        client.wait_log("round 2 of climate: training")
        wait_for(lambda: client.children() not in ([], [training]), "another training process")
        assert server.api.clients()["pi-1"]["since"] == since
        assert client.logged("Traceback") == 0


def test_sigterm_in_the_middle_of_a_run_that_never_ends_ends_the_client_with_code_0(tmp_path: Path) -> None:
    with serve(tmp_path, "--min-clients", "1", *ENDLESS) as server, ClientProcess(server.url, tmp_path) as client:
        client.wait_connected()
        server.measure(READINGS)
        server.api.start()
        begun(client)
        client.process.send_signal(signal.SIGTERM)
        assert client.process.wait(60) == 0
        assert client.logged("trained on") == 0, "the run was too short to show anything"
        assert client.logged("not trained") == 0
        assert "training_failed" not in client.waiting()
        assert client.logged("Traceback") == 0
        assert server.ended(1)["state"] == "abandoned"
