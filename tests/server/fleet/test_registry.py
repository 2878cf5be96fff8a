"""Who is connected, on what terms."""

from __future__ import annotations

from typing import Any

import pytest

from bramble_protocol.features import TRACKS
from bramble_protocol.messages import Channel, Handshake
from bramble_server.fleet import registry as fleets
from bramble_server.fleet.plausibility import Needs
from bramble_server.fleet.registry import Client, Registry


def hello(client: str, **other: object) -> Handshake:
    return Handshake(1, client, **other)  # type: ignore[arg-type]


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_a_client_is_there_from_joining_to_leaving(registry: Registry) -> None:
    assert registry.join(hello("pi-1"), "s1", "10.0.0.1") is None
    assert (len(registry), registry.connected(), registry.name("s1")) == (1, ["pi-1"], "pi-1")
    assert registry.leave("s1") == "pi-1"
    assert (len(registry), registry.connected(), registry.absent(), registry.name("s1")) == (0, [], ["pi-1"], None)


def test_a_newer_connection_replaces_the_older_which_then_leaves_unnoticed(registry: Registry) -> None:
    registry.join(hello("pi-1"), "old", "10.0.0.1")
    assert registry.join(hello("pi-1"), "new", "10.0.0.1") == "old"
    assert registry.leave("old") is None
    assert (registry.connected(), registry.sids(["pi-1"])) == (["pi-1"], ["new"])
    assert registry.leave("new") == "pi-1"


def test_sessions_are_those_of_connected_clients_only(registry: Registry) -> None:
    for client in ("pi-1", "pi-2", "pi-3"):
        registry.join(hello(client), f"s-{client}", "10.0.0.1")
    registry.leave("s-pi-2")
    assert registry.sids(["pi-3", "pi-2", "pi-1", "stranger"]) == ["s-pi-3", "s-pi-1"]


def test_a_message_is_noted_with_its_cycle_and_a_stranger_is_nobody(registry: Registry) -> None:
    registry.join(hello("pi-1"), "s1", "10.0.0.1")
    before = registry.get("pi-1")
    client = registry.seen("s1", cycle=4)
    assert before
    assert client
    assert client.last_seen >= before.last_seen
    assert client.last_cycle == 4
    assert registry.seen("s1").last_cycle == 4  # type: ignore[union-attr]
    assert registry.seen("stranger") is None
    registry.leave("s1")
    registry.join(hello("pi-1"), "s2", "10.0.0.1")
    assert registry.get("pi-1").last_cycle == 4, "what it sent stays known when it comes back"  # type: ignore[union-attr]


def test_what_is_shown_tells_terms_and_work(registry: Registry) -> None:
    registry.join(hello("b", simulated=True, version="0.1.0", channels=(Channel("temperature", "°C"),)), "s1", "10.0.0.1")
    registry.join(hello("a"), "s2", "10.0.0.2")
    registry.leave("s2")
    shown = registry.to_json(training=["b"])
    assert list(shown) == ["a", "b"]
    assert (shown["a"]["connected"], shown["a"]["training"]) == (False, False)
    assert (shown["b"]["connected"], shown["b"]["training"], shown["b"]["simulated"], shown["b"]["version"]) == (True, True, True, "0.1.0")
    assert shown["b"]["channels"] == [{"key": "temperature", "unit": "°C"}]
    assert "10.0.0.1" not in str(shown), "addresses are nobody's business"


def test_only_those_are_able_whose_channels_are_the_tasks_by_key_and_unit() -> None:
    registry = Registry({"climate": Needs((Channel("temperature", "°C"), Channel("humidity", "%")))})
    good = (Channel("humidity", "%"), Channel("temperature", "°C"), Channel("light", "lx"))
    for client, channels in (("good", good), ("half", good[1:]), ("odd", (Channel("temperature", "°F"), good[0])), ("bare", ())):
        registry.join(hello(client, channels=channels), f"s-{client}", "10.0.0.1")
    assert (registry.able("climate"), registry.ready("climate"), len(registry)) == (["good"], 1, 4)
    tail = ", so it is not asked for rounds of this task"
    assert {name: client["remarks"] for name, client in registry.to_json([]).items()} == {
        "good": [],
        "half": [f"does not measure humidity{tail}"],
        "odd": [f"measures temperature in °F instead of °C{tail}"],
        "bare": [f"does not measure temperature, humidity{tail}"],
    }
    registry.join(hello("half", channels=good), "s-half-2", "10.0.0.1")
    registry.leave("s-odd")
    assert (registry.able("climate"), registry.ready("climate"), len(registry)) == (["good", "half"], 2, 3)


def test_each_task_asks_those_that_it_fits_and_says_of_the_others_why() -> None:
    warm, wet = Channel("temperature", "°C"), Channel("humidity", "%")
    registry = Registry({"warmth": Needs((warm,)), "damp": Needs((wet,), (TRACKS,))})
    registry.join(hello("both", channels=(warm, wet), features=(TRACKS,)), "1", "10.0.0.1")
    registry.join(hello("older", channels=(warm, wet)), "2", "10.0.0.1")
    registry.join(hello("wet", channels=(wet,), features=(TRACKS,)), "3", "10.0.0.1")
    registry.join(hello("none", channels=()), "4", "10.0.0.1")
    assert (registry.able("warmth"), registry.able("damp")) == (["both", "older"], ["both", "wet"])
    shown = registry.to_json([], "damp")
    assert {name: client["fits"] for name, client in shown.items()} == {"both": True, "older": False, "wet": True, "none": False}
    assert shown["older"]["tasks"] == {
        "warmth": None, "damp": "does not know tracks, which rounds of this task need, so it is not asked for them; upgrade it"
    }  # fmt: skip
    assert [bool(client.idle) for name in shown if (client := registry.get(name))] == [False, True, False, False]
    registry.judged("warmth", {"both": "left out of round 3: too long"})
    registry.judged("damp", {"both": None})
    assert registry.to_json([])["both"]["remarks"] == ["left out of round 3: too long"], "what another task says does not undo it"


def test_to_leave_costs_the_same_however_many_there_are(registry: Registry) -> None:
    class Counted(dict[str, Client]):
        def values(self) -> Any:
            raise AssertionError("everybody was looked at")

    for number in range(3):
        registry.join(hello(f"pi-{number}"), f"s{number}", "10.0.0.1")
    registry._clients = Counted(registry._clients)
    assert registry.leave("s1") == "pi-1"
    assert registry.connected() == ["pi-0", "pi-2"]


def test_of_clients_that_are_gone_only_so_many_are_remembered(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "REMEMBERED", 3)
    registry.join(hello("stays"), "stays", "10.0.0.1")
    for number in range(10):
        registry.join(hello(f"pi-{number}"), f"s{number}", "10.0.0.1")
    for number in (5, *range(5), *range(6, 10)):
        registry.leave(f"s{number}")
    assert registry.absent() == ["pi-7", "pi-8", "pi-9"]
    assert registry.connected() == ["stays"]
