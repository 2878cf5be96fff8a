"""Real clients and a real server whose updates nobody sees: secure rounds, and clients that are killed in each of their phases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble.quickstart.enrolling import enrol
from bramble.quickstart.identity import certify
from bramble_protocol.accountant import Release, epsilon
from bramble_protocol.graph import GraphFile
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.server.process import ServerProcess
from tests.server.secure_pi import ACCEPTED, SecurePi
from tests.waiting import wait_for

FLAGS = ("--task", str(CLIMATE), "--min-updates", "2", "--deadline", "10m", "--secure")
ROOM = ("--task", "room", *FLAGS[2:])
NAMES = ("pi-1", "pi-2", "pi-3", "pi-4")
CHANNELS = [vars(channel) for channel in GraphFile.read(CLIMATE.read_bytes()).manifest.channels]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, *FLAGS) as process:
        yield process


@pytest.mark.process
def test_a_fleet_learns_by_sums_alone_and_goes_on_whoever_is_killed_in_which_phase(tmp_path: Path, server: ServerProcess) -> None:
    """A client of the test's own is the last in each phase: while it waits the others have done theirs, and one of them is killed."""
    clients = {name: ClientProcess(server.url, tmp_path, "--secure", name=name).wait_connected() for name in NAMES}
    losses, updates = [], []
    server.measure(200)
    own = SecurePi(server.url, "z-own", channels=CHANNELS)
    try:
        for phase in ("", "keys", "shares", "masked", "list", "open"):
            wait_for(lambda: server.api.status()["able"] == 5, "everybody to be there")
            number = server.api.start()["round"]
            for each in ("keys", "shares", "masked", "list", "open"):
                if each == "masked":
                    words = own.masked(own.asked.weights * 0)
                else:
                    part = {"keys": own.begin, "shares": own.shares, "list": own.agreed, "open": own.opening}[each]()
                if each == phase:
                    wait_for(lambda: server.api.status()["waiting_for"] == ["z-own"], f"the others to have done {each}")
                    clients["pi-2"].kill()
                    wait_for(lambda: not server.api.clients()["pi-2"]["connected"], "it to be gone")
                    clients["pi-2"] = ClientProcess(server.url, tmp_path, "--secure", name="pi-2")
                assert (own.deliver(words) if each == "masked" else own.say(each, part)) == ACCEPTED
            record = server.ended(number)
            assert record["state"] == "committed", record["reason"]
            updates.append(record["updates"])
            losses.append(record["metrics"]["loss_before"])
            clients["pi-2"].wait_connected()
    finally:
        own.close()
        for client in clients.values():
            client.stop()
    # whose masked words came is in the sum, whatever became of it
    assert updates == [5, 4, 4, 5, 5, 5]
    assert losses[-1] < losses[0]


@pytest.mark.process
def test_a_client_that_sends_sums_alone_refuses_a_server_that_asks_for_its_update(tmp_path: Path) -> None:
    flags = ("--task", str(CLIMATE), "--min-clients", "1")
    with ServerProcess(tmp_path, *flags) as server, ClientProcess(server.url, tmp_path, "--secure") as client:
        client.wait_connected()
        server.measure(200)
        record = server.play()
        assert record["state"] == "abandoned"
        assert "sends its updates in secure sums alone" in record["clients"]["pi-1"]["reason"]
        status, begun, _ = server.request("POST", "/evaluations?models=0")
        assert status == 202
        wait_for(lambda: server.get(f"/evaluations/{begun['evaluation']}")["state"] == "ended", "the evaluation to end")
        told = server.get(f"/evaluations/{begun['evaluation']}")["clients"]["pi-1"]
        assert "in secure sums alone" in told["reason"]


@pytest.mark.process
def test_clients_with_the_roll_sum_with_each_other_and_with_nobody_that_a_server_made_up(tmp_path: Path) -> None:
    """As quickstart sets a fleet up. The server without the roll is the dishonest one: it lets somebody in who is on none."""
    (tmp_path / "clients").mkdir()
    certify(tmp_path, "127.0.0.1", dt.datetime.now(dt.UTC))
    enrol(tmp_path, NAMES[:3])
    roll = ("--roll", str(tmp_path / "roll"))
    clients = []
    server = ServerProcess(tmp_path, *ROOM, *roll)
    try:
        for name in NAMES[:3]:
            own = ("--secure", "--identity", str(tmp_path / f"clients/{name}.key"), *roll, "--ca", str(tmp_path / "ca.crt"))
            clients.append(ClientProcess(server.url, tmp_path, *own, name=name).wait_connected())
        server.measure(200)
        assert (record := server.play())["updates"] == 3, record
        assert {"error.temperature", "baseline.humidity"} <= record["metrics"].keys(), "what they counted is in the sum, too"
        with SecurePi(server.url, "z-made-up", channels=CHANNELS) as stranger:
            number = server.api.start()["round"]
            assert "not on the fleet's roll" in stranger.say("keys", stranger.begin())["reason"]
            assert server.ended(number)["updates"] == 3, "nobody else is hurt"
        server.stop()
        server = ServerProcess(tmp_path, *ROOM, port=server.port)
        wait_for(lambda: server.api.status()["able"] == 3, "them to be back")
        with SecurePi(server.url, "z-made-up", channels=CHANNELS) as stranger:
            number = server.api.start()["round"]
            assert stranger.say("keys", stranger.begin()) == ACCEPTED
            record = server.ended(number)
        assert record["state"] == "abandoned"
        assert "z-made-up is not on the fleet's roll" in record["clients"]["pi-1"]["reason"]
    finally:
        for client in clients:
            client.stop()
        server.stop()


@pytest.mark.process
def test_clients_add_the_noise_themselves_and_the_server_counts_it_against_its_budget(tmp_path: Path) -> None:
    noise = ("--strategy", "dp", "--strategy-option", "noise_multiplier=3", "--strategy-option", "quantile=0.5", "--epsilon", "2")
    with ServerProcess(tmp_path, "--task", str(CLIMATE), "--min-updates", "3", "--deadline", "10m", "--secure", *noise) as server:
        clients = [ClientProcess(server.url, tmp_path, "--secure", name=name) for name in NAMES[:3]]
        try:
            for client in clients:
                client.wait_connected()
            server.measure(200)
            before = server.api.model()
            record = server.play()
            assert (record["state"], record["updates"]) == ("committed", 3), record["reason"]
            assert record["metrics"].keys() == {"relative_error"}, "one mean with noise, and nothing else of what they measured"
            assert server.api.model()["weights"] != before["weights"]
            assert server.api.status()["privacy"]["spent"] == pytest.approx(epsilon({Release(3.0): 1}, 1e-5))
            refused = server.request("POST", "/")
            assert (refused[0], "its budget is 2" in str(refused[1])) == (409, True), refused
        finally:
            for client in clients:
                client.stop()
