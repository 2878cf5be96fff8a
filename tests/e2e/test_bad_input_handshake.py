"""Handshakes that are not in order: refused with one sentence that the client gets to read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bramble_server.fleet.tokens import hash_of
from tests.server.pi import Pi, Refused, hello, update
from tests.server.process import ServerProcess
from tests.waiting import wait_for

BAD: dict[str, tuple[Any, str]] = {
    "none": (None, "handshake: expected an object, got NoneType"),
    "a list": ([1], "handshake: expected an object, got list"),
    "no id": ({"protocol": 1}, "handshake: missing client_id"),
    "another protocol": (hello("pi", protocol=3, novelty=True), "protocol: 3 is not spoken here, this server speaks 1 and 2"),
    "version 1 with a field of version 2": (hello("pi", instance="ab"), "handshake: unknown field instance"),
    "an instance that is a sentence": (hello("pi", protocol=2, instance="two words"), "instance: 'two words' does not match"),
    "endless features": (hello("pi", protocol=2, features=["f"] * 65), "features: expected a list of at most 64 names"),
    "a protocol that is a text": (hello("pi", protocol="1"), "protocol: expected an integer"),
    "an id with capitals": (hello("Pi"), "client_id: 'Pi' does not match"),
    "an id that is a path": (hello("../pi"), "client_id: '../pi' does not match"),
    "an id that is a number": (hello("x", client_id=7), "client_id: expected a text"),
    "an endless id": (hello("p" * 64), "client_id: expected a text of at most 63 characters"),
    "an unknown field": (hello("pi", admin=True), "handshake: unknown field admin"),
    "an endless token": (hello("pi", token="x" * 501), "token: expected a text of at most 500 characters"),
    "too many channels": (
        hello("pi", channels=[{"key": f"c{i}", "unit": ""} for i in range(65)]),
        "channels: expected a list of at most 64",
    ),
    "a channel without a unit": (hello("pi", channels=[{"key": "t"}]), "channel: missing unit"),
    "simulated, perhaps": (hello("pi", simulated="maybe"), "simulated: expected true or false"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server"), "--min-clients", "1", "--deadline", "1h") as process:
        yield process


@pytest.mark.parametrize("case", BAD)
def test_a_bad_handshake_is_refused_with_its_reason(case: str, server: ServerProcess) -> None:
    auth, reason = BAD[case]
    with pytest.raises(Refused) as refusal:
        Pi(server.url, auth=auth)
    assert reason in str(refusal.value)
    assert server.api.status()["clients"] == 0
    assert server.logged(f"handshake refused: {reason}") >= 1


def test_a_refused_client_may_try_again_over_the_same_connection(server: ServerProcess) -> None:
    pi = Pi(server.url, connect=False)
    pi.send('40{"protocol":1}')
    assert str(pi._receive()).startswith("44")
    pi.connect(hello("second-try"))
    assert server.api.clients()["second-try"]["connected"]
    pi.close()
    server.empty()


def test_a_second_connection_from_the_same_place_takes_the_first_ones(server: ServerProcess) -> None:
    old = Pi(server.url, "pi-1")
    number = server.api.start()["round"]
    old.next("client_update")
    new = Pi(server.url, "pi-1")
    old.wait_closed()
    assert new.next("client_update")["round"] == number, "the round goes over to the new connection"
    assert server.api.status()["clients"] == 1
    assert server.api.status()["waiting_for"] == ["pi-1"]
    assert new.call("training_complete", update(number)) == {"accepted": True}
    wait_for(lambda: server.api.round(number)["state"] == "committed", "the commit")
    assert server.logged("pi-1: a new connection takes the place of the one it had") == 1
    new.close()
    server.empty()


def test_the_same_id_from_another_address_is_refused(server: ServerProcess) -> None:
    with Pi(server.url, "pi-1"), pytest.raises(Refused, match="pi-1 is connected from another address; give each client an id of its own"):
        Pi(server.url, "pi-1", source=("127.0.0.2", 0))
    server.empty()
    with Pi(server.url, "pi-1", source=("127.0.0.2", 0)):
        assert server.api.status()["clients"] == 1, "free again, the id may come from anywhere"
    server.empty()


def test_private_mode_refuses_simulated_data_unless_told_otherwise(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--mode", "private") as server:
        with pytest.raises(Refused, match="mock sensors are not let in here; start the server with --allow-simulated"):
            Pi(server.url, "mock")
        with Pi(server.url, auth=hello("real", simulated=False)):
            assert server.api.status()["clients"] == 1
    with ServerProcess(tmp_path, "--mode", "private", "--allow-simulated") as server, Pi(server.url, "mock"):
        assert server.api.clients()["mock"]["simulated"]
    with ServerProcess(tmp_path, "--refuse-simulated") as server, pytest.raises(Refused, match="mock sensors"):
        Pi(server.url, "mock")


def test_with_tokens_on_each_client_needs_its_own(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[clients]\npi-1 = "{hash_of("one")}"\npi-2 = "{hash_of("two")}"\n[http]\nme = "{hash_of("http")}"\n')
    with ServerProcess(tmp_path, "--tokens", str(tokens)) as server:
        for token in (None, "", "two", "http", "one ", "Öne"):
            with pytest.raises(Refused, match=r"^token: not the one of client pi-1$"):
                Pi(server.url, auth=hello("pi-1", token=token))
        with pytest.raises(Refused, match=r"^token: not the one of client pi-3$"):
            Pi(server.url, auth=hello("pi-3", token="one"))
        old = Pi(server.url, auth=hello("pi-1", token="one"))
        with pytest.raises(Refused, match="token"):
            Pi(server.url, auth=hello("pi-1", token="two"))
        assert old.call("training_complete", None)["accepted"] is False, "the live one keeps its place"
        # the same credential, though from elsewhere: the client itself has moved
        with Pi(server.url, auth=hello("pi-1", token="one"), source=("127.0.0.2", 0)):
            old.wait_closed()
        for secret in ("two", "Öne", hash_of("one")):
            assert secret not in server.log().replace("takes the place", "")
