"""Whether a site whose error has risen is alone."""

from __future__ import annotations

import pytest

from bramble_protocol.health import Health
from bramble_protocol.messages import Handshake
from bramble_server.fleet.drifts import compared
from bramble_server.fleet.plausibility import Needs
from bramble_server.fleet.registry import Registry

DAY = 86400.0
CALM = dict.fromkeys(("b", "c", "d", "e", "f", "g"))


def test_one_site_among_others_is_a_sensors_matter() -> None:
    found = compared({"a": 100 * DAY, **CALM})
    assert found.keys() == {"a"}
    assert (found["a"].alone, found["a"].also, found["a"].others) == (True, 0, 6)
    assert found["a"].told("climate") == (
        "the error of climate is higher here since 1970-04-11, and not at the others: look at its sensors and where it stands"
    )


def test_what_neighbours_see_too_within_days_is_the_weather() -> None:
    found = compared({"a": 100 * DAY, **CALM, "b": 103 * DAY, "c": 95 * DAY})
    assert found["a"].alone is False
    assert found["a"].told("climate").endswith("as at 2 of the 6 others: the weather has changed")


def test_drifts_of_another_season_are_others() -> None:
    assert compared({"a": 100 * DAY, **CALM, "b": 150 * DAY, "c": 20 * DAY})["a"].alone is True


@pytest.mark.parametrize("others", [0, 1, 2])
def test_with_few_others_nobody_can_tell(others: int) -> None:
    found = compared({"a": DAY, **dict.fromkeys(map(str, range(others)))})
    assert found["a"].alone is None
    assert "nobody can tell" in found["a"].told("climate")


def test_the_registry_compares_those_that_are_there_and_forecast_the_task() -> None:
    registry = Registry({"climate": Needs(), "room": Needs()})
    for name, in_use in (("a", "climate"), ("b", "climate"), ("c", "room"), ("d", "climate"), ("e", "climate")):
        registry.join(Handshake(2, name), f"s-{name}", "10.0.0.1")
        registry.report(name, Health(1.0, in_use={in_use: "global"}, drifted={"climate": DAY} if name == "a" else {}))
    registry.leave("s-e")
    assert registry.in_use("climate") == {"global": 3}
    assert registry.drifts("climate")["a"].others == 2
    assert registry.drifts("room") == {}
    remarks = {name: told["remarks"] for name, told in registry.to_json([], "climate").items()}
    assert [name for name, said in remarks.items() if said] == ["a"]
