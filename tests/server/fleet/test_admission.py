"""Who may connect."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from bramble_protocol.errors import BrambleError
from bramble_protocol.messages import Handshake
from bramble_server.fleet.admission import Admission
from bramble_server.fleet.refused import RECENT_S, REMEMBERED
from bramble_server.fleet.registry import Registry
from bramble_server.fleet.tokens import Tokens, hash_of


def auth(client: str = "pi-1", **other: Any) -> dict[str, Any]:
    return {"protocol": 1, "client_id": client, "token": None, "simulated": False, "channels": [], "version": "1", **other}


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    path = tmp_path / "tokens.toml"
    path.write_text(f'[clients]\npi-1 = "{hash_of("one")}"\npi-2 = "{hash_of("two")}"\n')
    return Tokens(path)


def test_a_good_handshake_comes_back_read(registry: Registry) -> None:
    assert Admission(registry, None, True).check(auth(simulated=True), "10.0.0.1") == Handshake(1, "pi-1", None, True, (), "1")


def test_another_protocol_is_named_before_its_unknown_fields(registry: Registry) -> None:
    admission = Admission(registry, None, True)
    with pytest.raises(BrambleError, match="protocol: 3 is not spoken here, this server speaks 1 and 2; upgrade the server"):
        admission.check({"protocol": 3, "who": "pi-1"}, "10.0.0.1")
    with pytest.raises(BrambleError, match="protocol: 0 is not spoken here, this server speaks 1 and 2; upgrade the client"):
        admission.check({"protocol": 0, "who": "pi-1"}, "10.0.0.1")


def test_clients_of_release_0_1_and_of_this_one_are_let_in(registry: Registry) -> None:
    admission = Admission(registry, None, True)
    assert admission.check(auth(), "10.0.0.1").protocol == 1
    assert admission.check(auth(protocol=2, features=["x"], instance="ab"), "10.0.0.1").instance == "ab"
    with pytest.raises(BrambleError, match="handshake: unknown field instance"):
        admission.check(auth(instance="ab"), "10.0.0.1")


def test_without_tokens_an_id_belongs_to_the_address_that_it_is_connected_from(registry: Registry) -> None:
    admission = Admission(registry, None, True)
    registry.join(admission.check(auth(), "10.0.0.1"), "s1", "10.0.0.1")
    admission.check(auth(), "10.0.0.1")
    with pytest.raises(BrambleError, match="connected from another address"):
        admission.check(auth(), "10.0.0.2")
    registry.leave("s1")
    admission.check(auth(), "10.0.0.2")


def test_with_tokens_an_id_belongs_to_its_token_from_wherever(registry: Registry, tokens: Tokens) -> None:
    admission = Admission(registry, tokens, True)
    registry.join(admission.check(auth(token="one"), "10.0.0.1"), "s1", "10.0.0.1")
    admission.check(auth(token="one"), "10.0.0.2")
    for wrong in (None, "", "two", "One", hash_of("one")):
        with pytest.raises(BrambleError, match="token: not the one of client pi-1"):
            admission.check(auth(token=wrong), "10.0.0.1")
    with pytest.raises(BrambleError, match="token: not the one of client pi-9"):
        admission.check(auth("pi-9", token="one"), "10.0.0.1")


def test_who_is_refused_for_want_of_a_token_is_known_for_a_while(registry: Registry, tokens: Tokens) -> None:
    admission, now = Admission(registry, tokens, True), time.time()
    for name in ["pi-1", "pi-9", *(f"stranger-{number}" for number in range(REMEMBERED - 1))]:
        with pytest.raises(BrambleError, match=r"token: (not the one|too many wrong ones)"):
            admission.check(auth(name, token="wrong"), "10.0.0.1")
    known = registry.refused.to_json(now)
    assert len(known) == REMEMBERED, "names cost nothing, memory does"
    assert "pi-1" not in known
    assert known["pi-9"]["address"] == "10.0.0.1"
    assert registry.refused.to_json(now + RECENT_S + 60) == {}
    registry.refused.note("pi-1", "10.0.0.1", now)
    admission.check(auth(token="one"), "10.0.0.2")
    assert "pi-1" not in registry.refused.to_json(now), "its owner has come"


def test_simulated_clients_are_let_in_only_where_they_are_welcome(registry: Registry) -> None:
    Admission(registry, None, False).check(auth(), "10.0.0.1")
    with pytest.raises(BrambleError, match="--allow-simulated"):
        Admission(registry, None, False).check(auth(simulated=True), "10.0.0.1")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (auth(), "pi-1 (10.0.0.1)"),
        ({"client_id": "evil\nline"}, "evil?line (10.0.0.1)"),
        ({"client_id": 7}, "a client at 10.0.0.1"),
        (None, "a client at 10.0.0.1"),
        ("pi-1", "a client at 10.0.0.1"),
    ],
)
def test_the_log_names_whoever_it_was_as_well_as_it_can(given: Any, name: str, registry: Registry) -> None:
    assert Admission(registry, None, True).name_of(given, "10.0.0.1") == name
