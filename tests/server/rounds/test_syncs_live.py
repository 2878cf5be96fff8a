"""A round waits for the disk a few times and no more, for on a card each sync takes as long as all the rest of a small round."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.pi import Pi, hello, update
from tests.server.process import ROOT, ServerProcess
from tests.waiting import wait_for

SLOW_DISK = ROOT / "tests" / "server" / "rounds" / "slow_disk.py"
ROUNDS = 5
MOST = 4
"""Syncs of a round of two clients, with what it takes to tell each that its update is kept."""


@pytest.mark.parametrize("together", [False, True])
def test_a_round_of_two_clients_costs_at_most_four_syncs_and_heartbeats_are_answered_meanwhile(tmp_path: Path, together: bool) -> None:
    noted = tmp_path / "syncs"
    with (
        ServerProcess(tmp_path, script=SLOW_DISK, SYNCS=str(noted)) as server,
        Pi(server.url, "a") as a,
        Pi(server.url, "b") as b,
        Pi(server.url, auth=hello("onlooker", channels=[])) as onlooker,
    ):
        costs = []
        for _ in range(ROUNDS):
            before = len(noted.read_text().splitlines())
            number = server.api.start()["round"]
            asked = []
            for pi in (a, b):
                asked.append((pi, pi.ask("training_complete", update(number))))
                if not together:
                    assert pi.answer(asked[-1][1]) == {"accepted": True}
                assert onlooker.call("health", {"sent": 1.0}) == {"accepted": True}
            if together:
                assert [pi.answer(which) for pi, which in asked] == [{"accepted": True}] * 2
            assert server.ended(number)["state"] == "committed"
            costs.append(len(noted.read_text().splitlines()) - before)
    assert max(costs) <= MOST, noted.read_text().splitlines()[-max(costs) :]
    assert min(costs) >= 2, "that it is open, and its end"


def test_rounds_that_follow_one_another_cost_one_sync_each_where_answers_come_together(tmp_path: Path) -> None:
    noted = tmp_path / "syncs"
    flags = ("--rounds", "3", "--min-clients", "2")
    with ServerProcess(tmp_path, *flags, script=SLOW_DISK, SYNCS=str(noted)) as server, Pi(server.url, "a") as a, Pi(server.url, "b") as b:
        costs = []
        for number in (1, 2, 3):
            wait_for(lambda number=number: server.api.status()["running"] == number, f"round {number}")
            before = len(noted.read_text().splitlines())
            asked = [(pi, pi.ask("training_complete", update(number))) for pi in (a, b)]
            assert [pi.answer(which) for pi, which in asked] == [{"accepted": True}] * 2
            assert server.ended(number)["state"] == "committed"
            costs.append(noted.read_text().splitlines()[before:])
    assert costs[1] in (["commit"], ["file", "folder", "commit"]), "the first answer may have come before the second"
