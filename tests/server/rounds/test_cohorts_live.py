"""Cohorts over real sockets: more are asked than are needed, who is not needed hears of it, and a killed server goes on likewise."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from bramble_protocol.features import ROUND_OVER
from tests.server.pi import Pi, hello, update
from tests.server.process import ServerProcess
from tests.waiting import wait_for

NAMES = [f"pi-{n}" for n in range(6)]
FLAGS = ("--clients-per-round", "3", "--over-selection", "1.6", "--deadline", "1h", "--selection", "least-recent", "--seed", "4")


def fleet(server: ServerProcess, stack: ExitStack) -> dict[str, Pi]:
    return {
        name: stack.enter_context(Pi(server.url, name, auth=hello(name, protocol=2, features=[ROUND_OVER] if name != "pi-0" else [])))
        for name in NAMES
    }


def test_a_round_is_over_with_enough_of_those_it_asked_also_after_a_kill_and_the_others_hear_of_it(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, *FLAGS) as server, ExitStack() as stack:
        pis = fleet(server, stack)
        asked = server.api.start()["clients"]
        assert len(asked) == 5, "three by 1.6"
        first, second, third, *rest = sorted(asked, key=lambda name: name == "pi-0")
        assert pis[first].call("training_complete", update(1))["accepted"]
        server.kill()
    with ServerProcess(tmp_path, *FLAGS) as server, ExitStack() as stack:
        pis = fleet(server, stack)
        for name in (second, third):
            assert pis[name].next("client_update")["round"] == 1, "asked again"
            assert pis[name].call("training_complete", update(1))["accepted"]
        for name in rest:
            if name != "pi-0":  # which does not know it, as a client of version 1
                assert pis[name].next("round_over") == {"round": 1}
        wait_for(lambda: server.api.status()["round"] == 1, "the commit")
        record = server.api.round(1)
        assert {name: part["reason"] for name, part in record["clients"].items()} == {
            **dict.fromkeys([first, second, third]),
            **dict.fromkeys(rest, "enough others had answered"),
        }
        assert record["selection"] == {
            "name": "least-recent", "parameters": {}, "clients_per_round": 3, "over_selection": 1.6, "enough": 3
        }  # fmt: skip
        assert (record["seed"], record["deadline"]) == (4, 3600.0)
        assert pis[rest[0]].call("training_complete", update(1)) == {"accepted": False, "reason": "round over"}
        [left] = set(NAMES) - set(asked)
        assert left in server.api.start()["clients"], "who was not asked for longest, by what is on record"


def test_who_is_hot_is_not_asked_and_a_cohort_larger_than_the_fleet_is_refused(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, *FLAGS) as server, ExitStack() as stack:
        pis = fleet(server, stack)
        for name in NAMES[2:]:
            pis[name].call("health", {"sent": time.time(), "soc_temperature": 84.0})
        status, _, _ = server.request("POST", "/", {})
        assert status == 503
        hot = "is hot (84 °C), so it is not asked for rounds until it is better"
        assert server.api.clients()["pi-5"]["tasks"] == {"small": hot}
        pis["pi-5"].call("health", {"sent": time.time(), "soc_temperature": 60.0})
        assert server.api.start()["clients"] == ["pi-0", "pi-1", "pi-5"]
