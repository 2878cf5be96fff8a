"""Who is not asked for the time being, by what it reports of itself, and what the list says of it."""

from __future__ import annotations

from typing import Any

import pytest

from bramble_protocol.health import Health
from bramble_protocol.messages import Channel, Handshake
from bramble_server.fleet import eligibility
from bramble_server.fleet.eligibility import KINDS, reason
from bramble_server.fleet.plausibility import Needs
from bramble_server.fleet.registry import Registry
from bramble_server.settings import ServerSettings

NOW = 1_700_000_000.0
ILL: dict[str, list[tuple[dict[str, Any], str]]] = {
    "heat": [({"soc_temperature": 80.0}, "is hot (80 °C)"), ({"throttled": 1 << 3}, "is hot")],
    "throttling": [({"throttled": 0b101}, "is slowed down by its firmware (under-voltage, throttled)")],
    "disk": [
        ({"disk": "full"}, "has trouble with its disk (disk full)"),
        ({"disk": "read-only"}, "has trouble with its disk (disk read-only)"),
    ],
    "clock": [({"sent": NOW + 61}, "has a clock that is 61 s ahead"), ({"sent": NOW - 3600}, "has a clock that is 3600 s behind")],
    "data": [({"sample_every": 10.0, "sample_age": 41.0}, "has no fresh sample"), ({"sample_every": 10.0}, "has no fresh sample")],
}
WELL: list[dict[str, Any]] = [
    {},
    {"soc_temperature": 79.9, "throttled": 0xF0000, "disk": "ok", "sample_every": 10.0, "sample_age": 39.0},
    {"sample_age": 1e9},
    {"sent": NOW - 59},
]


@pytest.mark.parametrize(("kind", "told", "said"), [(kind, *each) for kind, found in ILL.items() for each in found])
def test_what_is_wrong_is_said_in_words_where_it_matters_and_only_there(kind: str, told: dict[str, Any], said: str) -> None:
    health = Health(**{"sent": NOW, **told})
    assert reason(health, NOW, [kind]) == f"{said}, so it is not asked for rounds until it is better"
    assert reason(health, NOW, [other for other in KINDS if other != kind]) is None
    assert reason(health, NOW, []) is None


@pytest.mark.parametrize("told", WELL)
def test_who_is_well_is_asked(told: dict[str, Any]) -> None:
    assert reason(Health(**{"sent": NOW, **told}), NOW, list(KINDS)) is None


def test_every_kind_has_its_case() -> None:
    assert set(ILL) == set(eligibility.KINDS)


class Standing:
    def monotonic(self) -> float:
        return 0.0

    def time(self) -> float:
        return NOW


def test_who_is_not_well_is_not_asked_says_why_and_is_asked_again() -> None:
    warm = Channel("temperature", "°C")
    registry = Registry({"strict": Needs((warm,), well=("heat",)), "any": Needs((warm,))}, Standing())
    for name in ("a", "b"):
        registry.join(Handshake(2, name, channels=(warm,)), f"s-{name}", "10.0.0.1")
    assert registry.report("a", Health(NOW, soc_temperature=85.0))
    assert not registry.report("a", Health(NOW, soc_temperature=86.0)), "nothing has changed for anybody who asks"
    assert (registry.able("strict"), registry.able("any")) == (["b"], ["a", "b"])
    assert (registry.ready("strict"), registry.unwell("strict"), registry.unwell("any")) == (1, 1, 0)
    shown = registry.to_json([], "strict")["a"]
    sentence = "is hot (86 °C), so it is not asked for rounds until it is better"
    assert (shown["tasks"], shown["fits"], shown["remarks"]) == ({"strict": sentence, "any": None}, True, [sentence])
    assert registry.report("a", Health(NOW, soc_temperature=60.0))
    assert registry.able("strict") == ["a", "b"]
    registry.report("a", Health(NOW, soc_temperature=85.0))
    registry.leave("s-a")
    assert (registry.ready("strict"), registry.unwell("strict")) == (1, 0)


def test_who_asks_a_part_of_a_fleet_asks_those_that_are_well() -> None:
    assert ServerSettings().well == ()
    assert ServerSettings(clients_per_round=5).well == tuple(KINDS)
    assert ServerSettings(clients_per_round=5, eligibility="none").well == ()
    assert ServerSettings(eligibility="disk,clock").well == ("disk", "clock")
    assert ServerSettings(eligibility=["all"]).well == tuple(KINDS)
