"""Who needs somebody, with what reason, and since when."""

from __future__ import annotations

from typing import Any

import pytest

from bench import crowd
from bramble_protocol.health import Health
from bramble_protocol.messages import Channel, Handshake
from bramble_server.fleet import attention
from bramble_server.fleet.attention import Part
from bramble_server.fleet.plausibility import Needs
from bramble_server.fleet.registry import Registry

NOW = 1_000_000.0
WELL: dict[str, Any] = {
    "sample_age": 5.0, "sample_every": 60.0, "throttled": 0, "memory_free": 200.0, "disk_free": 5000.0, "disk": "ok",
}  # fmt: skip


class Standing:
    """A clock that a test moves."""

    now = NOW

    def time(self) -> float:
        return self.now

    monotonic = time


def registry(channels: tuple[str, ...] = ("temperature",), version: str = "0.2.0") -> tuple[Registry, Standing]:
    clock = Standing()
    fleet = Registry({"climate": Needs((Channel("temperature", "°C"),))}, clock)
    fleet.join(Handshake(2, "pi", channels=tuple(Channel(key, "°C") for key in channels), version=version, instance="a"), "s", "10.0.0.1")
    return fleet, clock


def wrong(fleet: Registry, **parts: Part) -> dict[str, tuple[str, float | None]]:
    found = fleet.complaints("climate", parts, "0.2.0").get("pi", [])
    return {complaint.kind: (complaint.text, complaint.since) for complaint in found}


@pytest.mark.parametrize(
    ("report", "kind", "said"),
    [
        ({}, None, ""),
        ({"throttled": 1 << 0}, "power", "under-voltage"),
        ({"throttled": 1 << 16}, None, ""),
        ({"soc_temperature": 84.0}, "power", "hot (84 °C)"),
        ({"disk": "read-only"}, "disk", "read-only"),
        ({"disk_free": 3.0}, "disk", "3 MiB left"),
        ({"memory_free": 9.0}, "memory", "out of memory: 9 MiB"),
        ({"sensors_gone": ("roof", "cellar")}, "sensor", "sensor roof and 1 more does not answer"),
        ({"sensors_doubted": ("roof",)}, "sensor", "changed"),
        ({"sample_age": 400.0}, "stale", "no fresh sample"),
        ({"sample_age": 400.0, "not_now": "bytes"}, None, ""),
        ({"sent": NOW + 300}, "clock", "300 s ahead"),
    ],
)
def test_what_a_report_says_is_wrong_is_told_in_words(report: dict[str, Any], kind: str | None, said: str) -> None:
    fleet, _ = registry()
    fleet.report("pi", Health(**{"sent": NOW, **WELL, **report}))
    found = wrong(fleet)
    assert list(found) == ([kind] if kind else [])
    assert said in (found[kind][0] if kind else "")


def test_since_when_is_that_of_the_first_report_that_said_so() -> None:
    fleet, clock = registry()
    for minute, bits in enumerate((0, 1, 1, 0, 1)):
        clock.now = NOW + 60 * minute
        fleet.report("pi", Health(clock.now, **{**WELL, "throttled": bits}))
        if minute == 2:
            assert wrong(fleet)["power"][1] == NOW + 60
    assert wrong(fleet)["power"][1] == NOW + 240, "it was well in between"


def test_who_is_gone_is_only_that_and_when() -> None:
    fleet, clock = registry()
    fleet.report("pi", Health(NOW, **{**WELL, "throttled": 1}))
    clock.now = NOW + 50
    fleet.leave("s")
    assert wrong(fleet) == {"gone": ("is gone", NOW + 50)}
    assert list(attention.never(["new"])) == ["new"]


def test_who_says_nothing_of_itself_is_stale_once_reports_are_due() -> None:
    fleet, clock = registry()
    assert wrong(fleet) == {}
    clock.now = NOW + 120
    assert list(wrong(fleet)) == ["stale"]


def test_an_older_release_and_channels_that_do_not_fit_are_told() -> None:
    fleet, _ = registry(("pressure",), "0.1.9")
    fleet.report("pi", Health(NOW, **WELL))
    found = wrong(fleet)
    assert list(found) == ["misfit", "version"]
    assert "temperature" in found["misfit"][0]
    assert found["version"][0] == "runs 0.1.9; the server is 0.2.0"


def rounds(*reasons: str | None) -> list[dict[str, Any]]:
    return [
        {
            "round": number,
            "state": "committed",
            "started": NOW + number,
            "clients": {"pi": {"reason": why, "replied": None if why else 1.0}},
        }
        for number, why in enumerate(reasons, 1)
    ]


@pytest.mark.parametrize(
    ("reasons", "kind", "since"),
    [
        ((None, "disconnected", "disconnected"), None, None),
        (("disconnected", None, "disconnected", "disconnected", "disconnected"), "failing", NOW + 3),
        (("no training window yet: 3 of 9",) * 5, None, None),
        ((None, "training diverged with learning rate 1 (loss 0.1 to inf); lower learning_rate"), "diverging", NOW + 2),
        ((None, "out of memory"), "memory", NOW + 2),
    ],
)
def test_rounds_that_came_to_nothing_are_told_from_those_that_say_nothing_of_it(
    reasons: tuple[str | None, ...], kind: str | None, since: float | None
) -> None:
    fleet, _ = registry()
    fleet.report("pi", Health(NOW, **WELL))
    found = wrong(fleet, **attention.parts(rounds(*reasons)))
    assert (list(found), [told[1] for told in found.values()]) == (([kind], [since]) if kind else ([], []))


def test_an_update_that_was_left_out_is_an_outlier_and_one_that_got_worse_diverges() -> None:
    fleet, _ = registry()
    fleet.report("pi", Health(NOW, **WELL))
    fleet.judged("climate", {"pi": "left out of round 3: its update is 9 long, 40 times the cohort's median"})
    assert list(wrong(fleet)) == ["outlier"]
    fleet.judged("climate", {"pi": "left out of round 4: training made the model worse there (loss 0.1 to 9)"})
    assert list(wrong(fleet)) == ["diverging"]


def test_the_fleet_that_an_inspector_is_tried_with_is_as_sick_as_it_says() -> None:
    fleet, _ = registry()
    for kind in ("power", "sensor", "memory", "stale"):
        fleet.report("pi", crowd.report(kind, NOW))
        assert list(wrong(fleet)) == [kind]
