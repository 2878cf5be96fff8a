"""What goes wrong inside the server: said in one sentence, logged, and the next round runs as if nothing had been."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble_protocol.layout import Layout
from tests.server.pi import Pi, update
from tests.server.process import ROOT, NotReady, ServerProcess
from tests.waiting import wait_for

BREAKING = ROOT / "tests" / "server" / "breaking.py"


@pytest.fixture
def broken(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """A server that fails at a point of round 2, after a good round 1."""
    with ServerProcess(tmp_path, "--min-clients", "1", script=BREAKING, BREAK=f"{request.param}:2") as server:
        with Pi(server.url, "before") as pi:
            server.api.start()
            assert pi.train(1.0) == {"accepted": True}
            wait_for(lambda: server.api.status()["round"] == 1, "round 1")
        wait_for(lambda: server.api.status()["clients"] == 0, "it to leave")
        yield server


def runs_on(server: ServerProcess, pi: Pi) -> None:
    """Round 3 runs, from the model of round 1, and is on the disk."""
    assert weights(server) == 1.0
    number = server.api.start()["round"]
    while (asked := pi.next("client_update"))["round"] != number:
        pass
    assert pi.call("training_complete", update(asked["round"], 3.0)) == {"accepted": True}
    wait_for(lambda: server.api.status()["round"] == number, "the next round")
    assert weights(server) == 3.0
    assert server.api.round(number)["state"] == "committed"


def weights(server: ServerProcess) -> float:
    values: set[float] = set(server.api.model()["weights"]["dense/bias"])
    assert len(values) == 1
    return values.pop()


@pytest.mark.parametrize("broken", ["the model is not finite"], indirect=True)
def test_an_aggregate_that_is_not_finite_abandons_its_round(broken: ServerProcess) -> None:
    with Pi(broken.url) as pi:
        broken.api.start()
        assert pi.train(9.0) == {"accepted": True}
        record = broken.ended(2)
        assert (record["state"], record["reason"]) == ("abandoned", "aggregate: value 0 of the new model is not finite")
        assert record["clients"]["pi-1"]["samples"] == 10
        runs_on(broken, pi)


@pytest.mark.parametrize("broken", ["the disk is full at the opening"], indirect=True)
def test_a_round_that_cannot_be_put_on_record_does_not_start(broken: ServerProcess) -> None:
    with Pi(broken.url) as pi:
        status, content, _ = broken.request("GET", "/")
        assert status == 503
        assert "cannot grow because the disk is full: free some space" in content["error"]
        assert broken.api.status()["running"] is None
        assert broken.request("GET", "/rounds/2")[0] == 404
        # the number was never on the wire, so the next round has it again; the disk is as full as before
        assert broken.request("GET", "/")[0] == 503
        assert pi.call("training_complete", update(2)) == {"accepted": False, "reason": "unknown round 2"}
        assert weights(broken) == 1.0


@pytest.mark.parametrize("broken", ["the disk is full at the commit"], indirect=True)
def test_a_round_that_cannot_be_committed_is_abandoned_and_the_model_stays(broken: ServerProcess) -> None:
    with Pi(broken.url) as pi:
        broken.api.start()
        assert pi.train(9.0) == {"accepted": True}
        wait_for(lambda: broken.api.status()["running"] is None, "the end")
        assert broken.logged("round 2: abandoned: database") == 1
        assert broken.logged("round 2: its end is not on record yet") == 1
        runs_on(broken, pi)
        record = broken.ended(2)
        assert record["state"] == "abandoned"
        assert "cannot grow because the disk is full" in record["reason"]
        assert broken.logged("round 2: its end is on record now") == 1


@pytest.mark.parametrize("broken", ["the disk is full for an update"], indirect=True)
def test_an_update_that_the_server_cannot_take_is_not_acknowledged_so_that_it_comes_again(broken: ServerProcess) -> None:
    with Pi(broken.url) as pi:
        number = broken.api.start()["round"]
        pi.next("client_update")
        lost = pi.ask("training_complete", update(number, 9.0))
        assert pi.call("training_failed", None)["accepted"] is False, "a later message is answered"
        assert lost not in pi._acks
        assert broken.api.status()["waiting_for"] == ["pi-1"], "its part in the round is open"
        assert "pi-1: its training_complete could not be taken" in broken.log()
        assert pi.call("training_failed", {"round": number, "reason": "no ack"}) == {"accepted": True}
        assert broken.ended(number)["state"] == "abandoned"
        runs_on(broken, pi)


@pytest.mark.parametrize("broken", ["a bug in the commit", "a bug in the strategy"], indirect=True)
def test_a_bug_in_the_commit_is_logged_with_its_traceback_and_costs_one_round(broken: ServerProcess) -> None:
    with Pi(broken.url) as pi:
        broken.api.start()
        assert pi.train(9.0) == {"accepted": True}
        assert broken.ended(2)["reason"] == "the server failed to commit it, its log says why"
        assert broken.logged("ZeroDivisionError: bug") == 1
        runs_on(broken, pi)


@pytest.mark.parametrize("broken", ["a bug in the clock"], indirect=True)
def test_a_bug_in_the_clocks_work_leaves_everything_else_running(broken: ServerProcess) -> None:
    broken.stop()
    with (
        ServerProcess(broken.folder, "--min-clients", "1", "--deadline", "0.2", script=BREAKING, BREAK="a bug in the clock:0") as server,
        Pi(server.url) as pi,
    ):
        server.api.generate()
        assert server.logged("the clock's work failed and is tried again") >= 1
        assert server.api.healthy()
        assert pi.call("data_update", None)["accepted"] == 0
        number = server.api.start()["round"]
        assert pi.call("training_complete", update(number, 3.0)) == {"accepted": True}
        wait_for(lambda: server.api.status()["round"] == number, "the commit")
        assert weights(server) == 3.0


def test_a_second_server_on_the_same_data_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with ServerProcess(tmp_path):
        with pytest.raises(NotReady, match="is in use by another server: stop that one, or choose another --data-dir"):
            ServerProcess(tmp_path)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--tls-cert", "nowhere.pem", "--tls-key", "nowhere.key"), "not a certificate with its key (No such file or directory)"),
        (("--tokens", "nowhere.toml"), "nowhere.toml cannot be read"),
        (("--host", "192.0.2.1", "--port", "0"), "--host 192.0.2.1 --port 0: cannot listen there (Cannot assign requested address)"),
        (("--host", "no such host"), "cannot listen there"),
        (("--strategy", "magic"), "strategy: 'magic' is not one of fedavg"),
        (("--min-updates", "9", "--min-clients", "2"), "--min-updates 9 is more than --min-clients 2"),
        (("--mode", "private", "--min-updates", "1"), "--min-updates 1 would publish one client's weights"),
        (("--rounds", "3", "--every", "5m"), "--rounds and --every exclude each other"),
        (("--data-dir", "/proc/nowhere"), "--data-dir: /proc/nowhere cannot be made"),
        (("--task", "unheard-of"), "task: 'unheard-of' is not one of activity"),
        (("--database", "mysql://x"), "database: mysql is not supported"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_setting_that_does_not_work_out_ends_the_start_with_one_sentence(flags: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(NotReady) as failure:
        ServerProcess(tmp_path, *flags)
    assert failure.value.code == 1
    assert sentence in failure.value.said
    assert failure.value.said.startswith("bramble: ")
    assert len(failure.value.said.splitlines()) == 1


def test_the_history_of_another_graph_is_not_continued(tmp_path: Path) -> None:
    with ServerProcess(tmp_path):
        pass
    with pytest.raises(NotReady, match="its history of task small is that of graph"):
        ServerProcess(tmp_path, layout=Layout.of([("other", [3])]))
