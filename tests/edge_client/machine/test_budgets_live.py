"""A client that may not train just now, over real sockets: it says so at once, and trains when it may again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bramble_client.machine import health
from bramble_client.machine.traffic import FILE
from bramble_protocol import reasons
from tests.edge_client.agents import GRAPH, Make, give_data, heard, update
from tests.edge_client.socketserver import Server
from tests.waiting import wait_for


def hours(after: int, until: int) -> str:
    """Hours that begin and end so many hours from now."""
    begin, end = (time.strftime("%H:%M", time.localtime(time.time() + 3600 * h)) for h in (after, until))
    return f"{begin}-{end}"


@pytest.mark.process
def test_outside_of_its_hours_it_says_so_at_once_and_until_when(server: Server, make: Make) -> None:
    make(train_between=hours(2, 3))
    report = heard(server, "health")[0]
    assert report["not_now"] == "hours"
    assert 3600 < report["not_before"] - time.time() <= 2 * 3600
    give_data(server)
    server.sio.emit("client_update", update())
    failed = heard(server, "training_failed")[0]
    assert reasons.not_now(failed["reason"])
    assert failed["reason"].startswith("not now: does not train: outside of the hours in which it may, until 20")


@pytest.mark.process
def test_in_its_hours_it_trains(server: Server, make: Make) -> None:
    make(train_between=hours(-1, 1))
    assert heard(server, "health")[0]["not_now"] is None
    give_data(server)
    server.sio.emit("client_update", update())
    heard(server, "training_complete")


@pytest.mark.process
def test_a_month_that_is_used_up_stays_so_over_a_restart_and_readings_wait(server: Server, make: Make, tmp_path: Path) -> None:
    agent = make(monthly_bytes=1)
    assert heard(server, "health")[0]["not_now"] == "bytes"
    server.sio.emit("client_update", update())
    assert "this month's bytes are used up, until 20" in heard(server, "training_failed")[0]["reason"]
    wait_for(lambda: agent._outbox.next() is None, "the answer's acknowledgement")
    server.sio.emit("generate_data", {"cycle": 1, "t": 1_672_531_200.0, "step": 3600.0, "count": 5})
    wait_for(lambda: agent._outbox.next() is not None, "the readings")
    wait_for(lambda: agent._traffic.used() > GRAPH.initial.nbytes, "the count")
    assert not [name for name, _ in server.heard if name == "data_update"]
    agent.reset()
    agent.stop()
    carried = json.loads((tmp_path / FILE).read_text())["bytes"]
    assert carried >= GRAPH.initial.nbytes
    assert make()._traffic.used() >= carried


@pytest.mark.process
def test_a_supply_that_gets_too_weak_ends_a_run_and_is_said(server: Server, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make(steady_power=True)
    give_data(server, 600)
    endless = {**vars(GRAPH.manifest.config), "epochs": 1000, "batch_size": 1, "deadline_s": 600.0}
    server.sio.emit("client_update", update(1, config=endless))
    wait_for(lambda: heard(server, "health"), "the first report")
    monkeypatch.setattr(health, "read", lambda folder: {"health_throttled": 1.0})
    assert heard(server, "training_failed")[0]["reason"] == "not now: does not train: its power supply is too weak"
    assert heard(server, "health", 2)[-1]["not_now"] == "power"
    monkeypatch.setattr(health, "read", lambda folder: {})
    server.sio.emit("client_update", update(2))
    assert heard(server, "training_complete")[0]["round"] == 2
