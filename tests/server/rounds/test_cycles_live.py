"""Data cycles and mirrored readings over real sockets, and that private mode has neither."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bramble.api import Server
from bramble_protocol.messages import GenerateData
from bramble_server.fleet.tokens import hash_of
from tests.server.pi import Pi, hello, readings
from tests.server.process import ServerProcess
from tests.waiting import wait_for

Join = Callable[..., Pi]
START = datetime(2023, 1, 1, tzinfo=UTC).timestamp()
HOUR = 3600.0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_cycle_asks_everybody_for_the_same_stretch_of_the_worlds_time(method: str, server: ServerProcess, join: Join) -> None:
    server.api.reset()
    first, second = join("pi-1"), join("pi-2")
    status, content, _ = server.request(method, "/generate?count=3")
    assert (status, content["clients"]) == (202, 2)
    cycle = content["cycle"]
    expected = GenerateData(cycle, START, HOUR, 3)
    assert GenerateData.from_wire(first.next("generate_data")) == GenerateData.from_wire(second.next("generate_data")) == expected
    assert server.api.status()["cycle_waiting_for"] == ["pi-1", "pi-2"]
    assert server.api.generate() == {"cycle": cycle + 1, "clients": 2}
    assert GenerateData.from_wire(first.next("generate_data")) == GenerateData(cycle + 1, START + 3 * HOUR, HOUR, 24)


def test_a_cycle_with_nobody_there_is_refused_and_the_worlds_clock_stands_still(server: ServerProcess, join: Join) -> None:
    server.api.reset()
    status, content, _ = server.request("POST", "/generate?count=3")
    assert status == 503
    assert "no client is connected" in content["error"]
    pi = join("pi-1")
    server.api.generate(3)
    assert GenerateData.from_wire(pi.next("generate_data")).t == START


def test_a_cycle_is_waited_for_until_every_reading_came(server: ServerProcess, join: Join) -> None:
    first, second = join("pi-1"), join("pi-2")
    cycle = server.api.generate(3)["cycle"]
    assert first.call("data_update", readings(cycle, (1.0, 2.0))) == {"accepted": 2}
    assert server.api.status()["cycle_waiting_for"] == ["pi-1", "pi-2"]
    assert first.call("data_update", readings(cycle, (3.0,))) == {"accepted": 1}
    wait_for(lambda: server.api.status()["cycle_waiting_for"] == ["pi-2"], "pi-1 to be done")
    assert server.api.clients()["pi-1"]["last_cycle"] == cycle
    second.close()
    wait_for(lambda: server.api.status()["cycle_waiting_for"] == [], "pi-2 to be given up")


def test_readings_are_shown_by_client_channel_and_time(server: ServerProcess, join: Join) -> None:
    server.api.reset()
    pi, other = join("pi-1"), join("pi-2")
    columns = {"temperature": {"unit": "°C", "value": [1.5, None, 3.5]}, "temperature.forecast": {"unit": "°C", "value": [1.0, 2.0, 3.0]}}
    assert pi.call("data_update", {"cycle": None, "t": [10.0, 20.0, 30.0], "channels": columns}) == {"accepted": 6}
    assert other.call("data_update", readings(None, (20.0,))) == {"accepted": 1}
    everything = server.api.readings()
    assert everything["pi-1"]["temperature"] == {"unit": "°C", "t": [10.0, 20.0, 30.0], "value": [1.5, None, 3.5]}
    assert everything["pi-1"]["temperature.forecast"]["value"] == [1.0, 2.0, 3.0]
    assert everything["pi-2"] == {"temperature": {"unit": "°C", "t": [20.0], "value": [20.5]}}
    assert server.api.readings(client="pi-2") == {"pi-2": everything["pi-2"]}
    assert server.api.readings(since=20, client="pi-1")["pi-1"]["temperature"]["t"] == [30.0]
    assert server.api.readings(limit=2, client="pi-1")["pi-1"]["temperature"]["t"] == [20.0, 30.0]
    assert server.api.readings(client="nobody") == {}


def test_readings_that_come_twice_are_kept_once(server: ServerProcess, join: Join) -> None:
    server.api.reset()
    pi = join()
    for _ in range(2):
        assert pi.call("data_update", readings(None, (1.0, 2.0))) == {"accepted": 2}
    assert server.api.readings()["pi-1"]["temperature"]["t"] == [1.0, 2.0]


def test_readings_of_many_clients_at_once_are_all_stored(server: ServerProcess, join: Join) -> None:
    server.api.reset()
    fleet = [join(f"pi-{number}") for number in range(12)]
    waiting = [(pi, pi.ask("data_update", readings(None, (float(t), t + 0.5)))) for t in range(5) for pi in fleet]
    # one of them is refused in the midst of the others, which share its commit
    bad = fleet[0].ask("data_update", readings(10**6))
    assert all(pi.answer(number) == {"accepted": 2} for pi, number in waiting)
    assert fleet[0].answer(bad) == {"accepted": 0, "reason": "cycle 1000000 has not been started"}
    stored = server.api.readings()
    assert {name: len(channels["temperature"]["t"]) for name, channels in stored.items()} == {f"pi-{n}": 10 for n in range(12)}


def test_readings_from_before_a_reset_are_not_taken_after_it(server: ServerProcess, join: Join) -> None:
    pi = join()
    cycle = server.api.generate(2)["cycle"]
    server.api.reset()
    assert server.api.status()["cycle_waiting_for"] == []
    answer = pi.call("data_update", readings(cycle))
    assert answer == {"accepted": 0, "reason": f"cycle {cycle} was before the last reset"}
    assert server.api.readings() == {}
    assert server.api.generate(2)["cycle"] == cycle + 1
    pi.next("generate_data")
    assert pi.next("generate_data")["t"] == START, "the world starts over"
    assert pi.call("data_update", readings(cycle + 1)) == {"accepted": 2}


def test_the_worlds_clock_goes_on_after_a_restart_and_starts_where_it_is_told(tmp_path: Path) -> None:
    flags = ("--data-start", "2020-06-01T12:00Z", "--deadline", "0.3")
    with ServerProcess(tmp_path, *flags) as server, Pi(server.url) as pi:
        server.api.generate(5)
        asked = GenerateData.from_wire(pi.next("generate_data"))
        assert asked.t == datetime(2020, 6, 1, 12, tzinfo=UTC).timestamp()
        assert server.logged("cycle 1: no readings came from pi-1") == 1
        wait_for(lambda: server.api.status()["cycle_waiting_for"] == [], "nobody to be waited for")
    with ServerProcess(tmp_path, *flags) as server, Pi(server.url) as pi:
        assert server.api.status()["cycle"] == 1
        assert server.api.generate(5)["cycle"] == 2
        assert pi.next("generate_data")["t"] == asked.t + 5 * HOUR


def test_in_private_mode_no_reading_is_asked_for_taken_or_shown(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path, "--mode", "private", "--min-updates", "2") as server,
        Pi(server.url, auth=hello("pi-1", simulated=False)) as pi,
        Pi(server.url, auth=hello("pi-2", simulated=False)) as other,
    ):
        answer = pi.call("data_update", readings())
        assert answer == {"accepted": 0, "reason": "readings stay on the client: the server runs in private mode"}
        for path in ("/generate", "/data/all"):
            status, content, _ = server.request("GET", path)
            assert status == 403
            assert "the server runs in private mode" in content["error"]
        assert server.request("POST", "/generate")[0] == 403
        assert server.api.status()["mode"] == "private"
        number = server.api.start()["round"]
        few = {"loss_before": 2.0, "loss_after": 1.0, "test_samples": 19, "test_error": 3.0, "test_baseline": 4.0}
        many = {**few, "test_samples": 20}
        assert pi.train(samples=19, metrics=few) == {"accepted": True}
        assert other.train(samples=20, metrics=many) == {"accepted": True}
        wait_for(lambda: server.api.status()["round"] == number, "the commit")
        for name, told in (("pi-1", {}), ("pi-2", many)):
            latest = server.api.updates(weights=True)[name]
            shown = {"round", "samples", "metrics", "test", "update_norm", "cosine", "distance", "not_asked"}
            assert set(latest) == shown, "norms and distances, no weights"
            assert latest["metrics"] == told, "no mean over fewer than twenty"
        part = server.api.round(number)["clients"]["pi-1"]
        assert [part[name] for name in few] == [None] * 5
        assert many.items() <= server.api.round(number)["metrics"].items()
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "bramble.db")) as database:
        assert database.execute("SELECT count(*) FROM readings").fetchone() == (0,)


def test_a_client_that_was_away_at_a_reset_hears_of_it_even_after_a_restart(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        Pi(server.url, "away").close()
        wait_for(lambda: server.api.clients().get("away", {}).get("connected") is False, "it to leave")
        assert server.api.reset() == {"clients": 0}
    with ServerProcess(tmp_path) as server:
        with Pi(server.url, "away") as pi:
            assert pi.next("reset") == {}
        with Pi(server.url, "away") as pi:
            server.api.generate(1)
            pi.next("generate_data")
            assert not [event for event, _ in pi._events if event == "reset"], "once is enough"


def test_nothing_private_is_logged_at_any_level(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[clients]\npi-1 = "{hash_of("my-secret-token")}"\n[http]\nme = "{hash_of("http-secret")}"\n')
    flags = ("--tokens", str(tokens), "--min-clients", "1")
    with (
        ServerProcess(tmp_path, *flags, BRAMBLE_LOG_LEVEL="debug") as server,
        Pi(server.url, auth=hello("pi-1", token="my-secret-token")) as pi,
    ):
        me = Server(server.url, "http-secret", timeout=60)
        reading = {"cycle": None, "t": [1.0], "channels": {"temperature": {"unit": "°C", "value": [23.456789]}}}
        assert pi.call("data_update", reading) == {"accepted": 1}
        assert me.start()["round"] == 1
        assert pi.train(0.1234567, metrics={"loss_before": 9.87654321}) == {"accepted": True}
        wait_for(lambda: me.status()["round"] == 1, "the commit")
        bad = {"cycle": None, "t": [1.0], "channels": {"temperature": {"unit": "°C", "value": [23.456789, "warm"]}}}
        assert pi.call("data_update", bad)["accepted"] == 0
        assert server.request("GET", "/data/all", {"Authorization": "Bearer http-secretx"})[0] == 401
    for private in ("secret", "23.45", "9.87", "0.123"):
        assert private not in server.log(), private
