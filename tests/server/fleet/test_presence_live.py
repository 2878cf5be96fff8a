"""Who is there, who is missing, and who cannot take part: over real sockets, and across a restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bramble_server.fleet.tokens import hash_of
from tests import warm
from tests.server.pi import Pi, Refused, hello
from tests.server.process import ServerProcess
from tests.waiting import wait_for

Join = Callable[..., Pi]
HALF = [{"key": "temperature", "unit": "°C"}]
FAHRENHEIT = [{"key": "temperature", "unit": "°F"}, {"key": "humidity", "unit": "%"}]


def new(name: str, instance: str = "a", **other: Any) -> dict[str, Any]:
    return hello(name, protocol=2, instance=instance, **other)


def clients(server: ServerProcess) -> dict[str, Any]:
    shown: dict[str, Any] = server.api.clients()
    return shown


def test_a_client_whose_channels_do_not_fit_is_told_shown_and_not_asked(server: ServerProcess, join: Join) -> None:
    odd = join("pi-odd", auth=new("pi-odd", channels=HALF))
    sentence = "does not measure humidity, so it is not asked for rounds of this task"
    assert odd.next("notice") == {"about": "channels", "sentence": f"this client {sentence}"}
    status, content, _ = server.request("POST", "/")
    assert (status, content["error"]) == (
        503,
        "0 clients are connected (1 more do not measure what the task takes), a round needs 1",
    )
    shown = clients(server)["pi-odd"]
    assert (shown["connected"], shown["fits"], shown["remarks"]) == (True, False, [sentence])
    assert server.logged(f"pi-odd: {sentence}") == 1
    status_ = server.api.status()
    assert (status_["clients"], status_["able"]) == (1, 0)
    good = join("pi-good")
    assert server.api.start()["clients"] == ["pi-good"]
    good.train()
    wait_for(lambda: server.api.status()["running"] is None, "the commit")
    server.api.generate(1)
    assert odd.next("generate_data")["count"] == 1, "its readings may be looked at all the same"
    assert good.next("generate_data")
    both = {"t": [1.0], "channels": {"temperature": {"unit": "°C", "value": [20.5]}}}
    assert odd.call("data_update", {"cycle": None, **both}) == {"accepted": 1}


def test_another_unit_does_not_fit_and_a_version_1_client_is_not_sent_what_it_does_not_know(server: ServerProcess, join: Join) -> None:
    old = join("pi-old", auth=hello("pi-old", channels=FAHRENHEIT))
    wait_for(lambda: clients(server)["pi-old"]["fits"] is False, "the server's judgement")
    assert clients(server)["pi-old"]["remarks"] == [
        "measures temperature in °F instead of °C, so it is not asked for rounds of this task",
    ]
    server.api.reset()
    assert old.next("reset") == {}
    assert not old._events, "no notice came before it"


def test_a_client_that_comes_back_without_a_channel_is_no_longer_waited_for(server: ServerProcess, join: Join) -> None:
    join("pi-1", auth=new("pi-1"))
    other = join("pi-2")
    number = server.api.start()["round"]
    join("pi-1", auth=new("pi-1", channels=HALF))
    wait_for(lambda: server.api.status()["waiting_for"] == ["pi-2"], "it to be let go")
    other.train()
    assert wait_for(lambda: server.api.round(number)["state"] == "committed", "the commit")


def test_two_with_one_id_are_told_both_and_the_server_stops_their_taking_turns(server: ServerProcess, join: Join) -> None:
    first = join("pi-twin", auth=new("pi-twin", "a"))
    second = join("pi-twin", auth=new("pi-twin", "b"))
    assert "has just taken this one's place" in first.next("notice")["sentence"]
    first.wait_closed()
    assert clients(server)["pi-twin"]["namesake_since"] is None, "it may have been restarted"
    third = join("pi-twin", auth=new("pi-twin", "a"))
    two = "two clients have this name; give each an id of its own"
    assert third.next("notice") == {"about": "name", "sentence": two}
    assert "has just taken this one's place" in second.next("notice")["sentence"]
    second.wait_closed()
    for _ in range(3):
        with pytest.raises(Refused, match="client_id: another client with this id is connected; give each client an id of its own"):
            Pi(server.url, auth=new("pi-twin", "b"))
    shown = clients(server)["pi-twin"]
    assert shown["connected"]
    assert shown["namesake_since"] is not None
    assert shown["remarks"] == [two]
    assert server.logged(f"pi-twin: {two}") == 1, "once"
    again = join("pi-twin", auth=new("pi-twin", "a"))
    assert again.next("notice")["sentence"] == two, "the one that is connected may come back"


def test_two_of_release_0_1_behind_one_address_are_told_by_their_turns(server: ServerProcess, join: Join) -> None:
    for _ in range(5):
        join("pi-old-twin")
    assert clients(server)["pi-old-twin"]["remarks"] == ["two clients have this name; give each an id of its own"]


def test_a_client_that_moved_to_another_address_is_let_in_at_once(server: ServerProcess, join: Join) -> None:
    join("pi-moves", auth=new("pi-moves", "a"))
    join("pi-moves", auth=new("pi-moves", "a"), source=("127.0.0.2", 0))
    assert clients(server)["pi-moves"]["namesake_since"] is None
    with pytest.raises(Refused, match="pi-moves is connected from another address"):
        Pi(server.url, auth=new("pi-moves", "b"))


def test_the_list_outlives_the_server_and_a_reset_and_names_who_was_never_seen(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"

    def give(*names: str) -> None:
        lines = [f'{name} = "{hash_of(name)}"' for name in names]
        tokens.write_text("\n".join(["[clients]", *lines, "[http]", f'me = "{hash_of("me")}"', ""]))

    me = {"Authorization": "Bearer me"}

    def seen(server: ServerProcess) -> tuple[dict[str, bool], list[str]]:
        content = server.request("GET", "/clients", me)[1]
        return {name: client["connected"] for name, client in content["clients"].items()}, content["never_seen"]

    give("pi-1", "pi-2", "pi-3")
    flags = ("--tokens", str(tokens), "--min-clients", "1")
    with ServerProcess(tmp_path, *flags) as server, Pi(server.url, auth=hello("pi-1", token="pi-1")):
        with Pi(server.url, auth=hello("pi-2", token="pi-2")):
            assert seen(server) == ({"pi-1": True, "pi-2": True}, ["pi-3"])
        wait_for(lambda: seen(server)[0] == {"pi-1": True, "pi-2": False}, "pi-2 to leave")
        assert server.request("POST", "/reset", me)[0] == 200
        before = server.request("GET", "/clients", me)[1]["clients"]
    with ServerProcess(tmp_path, *flags) as server:
        assert seen(server) == ({"pi-1": False, "pi-2": False}, ["pi-3"])
        after = server.request("GET", "/clients", me)[1]["clients"]
        assert after["pi-2"]["last_seen"] == before["pi-2"]["last_seen"]
        with Pi(server.url, auth=hello("pi-2", token="pi-2")):
            assert server.request("DELETE", "/clients/pi-2", me)[0] == 409
            assert forget(server, tmp_path, "pi-1") == ("pi-1 is off the list\n", "")
            assert server.request("DELETE", "/clients/pi-1", me)[0] == 404
            assert "there is no client" in forget(server, tmp_path, "pi-9")[1]
            assert seen(server) == ({"pi-2": True}, ["pi-1", "pi-3"])
            out, err = forget(server, tmp_path, "pi-2")
            assert (out, "pi-2 is connected" in err) == ("", True)
            give("pi-1", "pi-3")
            wait_for(lambda: seen(server) == ({}, ["pi-1", "pi-3"]), "the client without a token to be ended and forgotten")


def forget(server: ServerProcess, folder: Path, client: str) -> tuple[str, str]:
    (folder / "me.token").write_text("me")
    done = warm.run("bramble", "fleet", "forget", client, "--server", server.url, "--token-file", str(folder / "me.token"))
    return done.stdout, done.stderr
