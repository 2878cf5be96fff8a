"""What a Pi's owner gave it for training, and what is counted of it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble_client.machine import health
from bramble_client.machine.budgets import Budgets, Left, Rest
from bramble_client.machine.hours import Hours
from bramble_client.machine.traffic import FILE, WRITE_EVERY, Traffic

NOVEMBER, DECEMBER, JANUARY = 1_795_780_800.0, 1_796_083_200.0, 1_798_761_600.0
"""2026-11-27T12:00, and when the two next months begin, by UTC."""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Pi:
    """A machine, its clock, and what its connections carried since it was started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now: float | None = NOVEMBER
        self.machine: dict[str, float] = {}
        self.start()

    def start(self) -> None:
        self.carried = 0
        self.traffic = Traffic(self.folder, lambda: self.carried, lambda: self.now)

    def budgets(
        self, hours: str | None = None, monthly_bytes: int | None = None, steady_power: bool = False, least_battery: int | None = None
    ) -> Budgets:
        return Budgets(
            (hours and Hours.parse(hours)) or None, monthly_bytes, steady_power, least_battery, self.traffic, lambda: self.machine,
            lambda: self.now,
        )  # fmt: skip


@pytest.fixture
def pi(tmp_path: Path) -> Pi:
    return Pi(tmp_path)


def test_what_is_left_is_the_bytes_of_this_month_and_the_time_until_its_hours_end(pi: Pi) -> None:
    budgets = pi.budgets("11:00-14:00", monthly_bytes=1000)
    pi.carried = 400
    assert budgets.left() == Left(600, NOVEMBER + 2 * 3600)
    pi.now, pi.carried = NOVEMBER + 3 * 3600, 2000
    assert budgets.left() == Left(0, None), "no byte, and outside of them"
    assert pi.budgets("00:00-24:00").left() == Left(None, None), "they never end"


def test_without_budgets_it_may_always_train(pi: Pi) -> None:
    pi.machine, pi.carried = {"health_throttled": 1.0, "health_battery": 1.0}, 10**12
    assert (pi.budgets().rest(), pi.budgets().left()) == (None, Left())


def test_it_trains_in_its_hours_and_says_once_when_they_begin_again(pi: Pi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    budgets = pi.budgets("13:00-14:00")
    assert [budgets.rest(), budgets.rest()] == [Rest("hours", NOVEMBER + 3600)] * 2
    pi.now = NOVEMBER + 3600
    assert budgets.rest() is None
    said = [record.message for record in caplog.records]
    assert said == [
        "not now: does not train: outside of the hours in which it may, until 2026-11-27 13:00 UTC",
        "this client trains again when it is asked",
    ]


def test_while_nobody_knows_the_time_it_is_in_no_hours(pi: Pi) -> None:
    pi.now = None
    assert pi.budgets("00:00-24:00").rest() == Rest("hours")


def test_what_its_connections_carry_is_spent_until_the_next_month(pi: Pi) -> None:
    budgets = pi.budgets(monthly_bytes=1000)
    pi.carried = 999
    assert budgets.rest() is None
    pi.carried = 1000
    assert budgets.rest() == Rest("bytes", DECEMBER)
    assert budgets.spent
    pi.now = DECEMBER
    assert budgets.rest() is None
    pi.carried = 2000
    assert budgets.rest() == Rest("bytes", JANUARY)


def test_the_count_survives_a_restart_and_a_kill_costs_little(pi: Pi) -> None:
    pi.carried = 500
    pi.traffic.keep()
    pi.start()
    assert pi.traffic.used() == 500
    pi.carried = WRITE_EVERY
    assert pi.traffic.used() == 500 + WRITE_EVERY
    pi.carried += 10
    pi.traffic.used()
    pi.start()  # without a word to the one before
    assert pi.traffic.used() == 500 + WRITE_EVERY


def test_what_is_carried_before_the_time_is_known_belongs_to_the_month_that_was_counted_last(pi: Pi) -> None:
    pi.carried = 500
    pi.traffic.keep()
    pi.now = None
    pi.start()
    pi.carried = 100
    assert pi.traffic.used() == 600
    assert pi.traffic.next_month() is None
    pi.now = NOVEMBER
    assert pi.traffic.used() == 600
    pi.now = DECEMBER
    assert pi.traffic.used() == 0


def test_what_a_first_start_carries_before_the_time_is_known_counts(pi: Pi) -> None:
    pi.now, pi.carried = None, 300
    assert pi.traffic.used() == 300
    pi.now = NOVEMBER
    assert pi.traffic.used() == 300


@pytest.mark.parametrize("text", ["", "{", "[]", '{"month": "2026-11"}', '{"month": "2026-11", "bytes": "many"}'])
def test_a_count_that_cannot_be_read_begins_anew_and_says_so(pi: Pi, caplog: pytest.LogCaptureFixture, text: str) -> None:
    (pi.folder / FILE).write_text(text)
    pi.start()
    assert pi.traffic.used() == 0
    assert "this month's bytes are counted from now on" in caplog.text


def test_a_count_that_cannot_be_written_is_said_once_and_goes_on(pi: Pi, caplog: pytest.LogCaptureFixture) -> None:
    (pi.folder / FILE).with_suffix(".part").mkdir()
    for carried in (10, 20):
        pi.carried = carried
        pi.traffic.keep()
    assert pi.traffic.used() == 20
    assert caplog.text.count("a restart forgets some of this month's bytes") == 1
    (pi.folder / FILE).with_suffix(".part").rmdir()
    pi.traffic.keep()
    assert json.loads((pi.folder / FILE).read_text()) == {"month": "2026-11", "bytes": 20}


def test_it_does_not_train_on_weak_power_where_its_owner_says_so(pi: Pi) -> None:
    budgets = pi.budgets(steady_power=True)
    for bits, rest in ((0x0, None), (0x50005, Rest("power")), (0x50004, None), (0x1, Rest("power"))):
        pi.machine = {"health_throttled": float(bits)}
        assert budgets.rest() == rest
    pi.machine = {}
    assert budgets.rest() is None


def test_it_does_not_train_below_a_level_of_its_battery(pi: Pi) -> None:
    budgets = pi.budgets(least_battery=30)
    for level, rest in ((30.0, None), (29.0, Rest("battery"))):
        pi.machine = {"health_battery": level}
        assert budgets.rest() == rest
    pi.machine = {}
    assert budgets.rest() is None, "it has none"


def supply(folder: Path, name: str, **files: str) -> None:
    (folder / name).mkdir()
    for file, text in files.items():
        (folder / name / file).write_text(text + "\n")


def test_the_level_is_that_of_the_machines_own_emptiest_battery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SUPPLIES", tmp_path)
    assert "health_battery" not in health.read(tmp_path)
    supply(tmp_path, "AC", type="Mains", online="1")
    supply(tmp_path, "mouse", type="Battery", scope="Device", capacity="3")
    supply(tmp_path, "odd", type="Battery", capacity="full")
    assert "health_battery" not in health.read(tmp_path)
    supply(tmp_path, "BAT0", type="Battery", capacity="88")
    supply(tmp_path, "ups", type="Battery", scope="System", capacity="57")
    assert health.read(tmp_path)["health_battery"] == 57
