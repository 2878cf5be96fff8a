"""Schedules in a real server."""

from __future__ import annotations

import itertools
from pathlib import Path

from tests.server.pi import Pi
from tests.server.process import ServerProcess
from tests.server.worker import Worker
from tests.waiting import wait_for


def test_rounds_run_one_after_the_other_once_enough_clients_are_there_and_then_it_only_serves(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--rounds", "4", "--min-updates", "2") as server, Worker(server.url, "pi-1"):
        wait_for(lambda: server.api.status()["clients"] == 1, "the first client")
        assert server.api.rounds() == []
        with Worker(server.url, "pi-2"):
            wait_for(lambda: server.api.status()["round"] == 4, "four rounds")
            rounds = server.api.rounds()
            assert [(item["round"], item["state"], item["updates"]) for item in rounds] == [(n, "committed", 2) for n in (1, 2, 3, 4)]
            assert server.api.status()["running"] is None
            assert server.api.start()["round"] == 5, "it stays up, and rounds can still be started by hand"
            wait_for(lambda: server.api.status()["round"] == 5, "the fifth")


def test_rounds_start_at_an_interval_and_wait_for_clients(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--every", "0.3s", "--min-clients", "1") as server:
        with Worker(server.url, "pi-1"):
            wait_for(lambda: server.api.status()["round"] >= 3, "three rounds")
        wait_for(lambda: server.api.status()["clients"] == 0, "it to leave")
        starts = [item["started"] for item in server.api.rounds()]
        assert all(later - earlier >= 0.29 for earlier, later in itertools.pairwise(starts))
        before = server.api.status()["round"]
        with Worker(server.url, "pi-2"):
            wait_for(lambda: server.api.status()["round"] > before, "the next round, with another client")


def test_a_scheduled_round_to_which_everybody_says_no_does_not_repeat_in_a_rush(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--rounds", "2", "--min-clients", "1") as server, Pi(server.url) as pi:
        number = pi.next("client_update")["round"]
        pi.call("training_failed", {"round": number, "reason": "no data yet"})
        wait_for(lambda: server.api.round(number)["state"] == "abandoned", "the end")
        for _ in range(50):
            assert server.api.status()["running"] is None
        assert len(server.api.rounds()) == 1
        assert server.api.start()["round"] == number + 1, "a person need not wait"
