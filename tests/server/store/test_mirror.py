from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest
from sqlalchemy import func, select

from bramble_protocol.messages import Column, DataUpdate
from bramble_server.store import Store, mirror, reset


def message(times: list[float], cycle: int | None = None, **values: list[float | None]) -> DataUpdate:
    units = {"temperature": "°C", "humidity": "%"}
    return DataUpdate(cycle, tuple(times), {key: Column(units[key], tuple(column)) for key, column in values.items()})


@pytest.fixture(autouse=True)
def nothing_said_yet() -> None:
    mirror._say_once.cache_clear()


def add(store: Store, client: str, update: DataUpdate) -> int:
    with store.writing() as connection:
        return mirror.add(connection, client, update)


def test_readings_are_given_back_by_client_and_channel(store: Store) -> None:
    assert add(store, "a", message([10.0, 20.0], temperature=[1.5, None], humidity=[50.0, 60.0])) == 4
    assert add(store, "b", message([10.0], temperature=[-3.0])) == 1
    with store.reading() as connection:
        assert mirror.columns(connection) == {
            "a": {
                "humidity": {"unit": "%", "t": [10.0, 20.0], "value": [50.0, 60.0]},
                "temperature": {"unit": "°C", "t": [10.0, 20.0], "value": [1.5, None]},
            },
            "b": {"temperature": {"unit": "°C", "t": [10.0], "value": [-3.0]}},
        }


def test_clients_with_readings_are_listed_once_and_in_order(store: Store) -> None:
    add(store, "b", message([10.0], temperature=[1.0]))
    add(store, "a", message([10.0], temperature=[1.0], humidity=[2.0]))
    with store.reading() as connection:
        assert mirror.clients(connection) == ["a", "b"]


def test_a_message_that_comes_twice_is_answered_alike_and_stored_once(store: Store) -> None:
    once = message([10.0, 20.0], temperature=[1.0, 2.0])
    assert add(store, "a", once) == add(store, "a", once) == 2
    with store.reading() as connection:
        assert mirror.columns(connection)["a"]["temperature"]["t"] == [10.0, 20.0]


def test_parts_that_come_out_of_order_are_sorted_by_time(store: Store) -> None:
    add(store, "a", message([30.0, 40.0], temperature=[3.0, 4.0]))
    add(store, "a", message([10.0, 20.0], temperature=[1.0, 2.0]))
    with store.reading() as connection:
        assert mirror.columns(connection)["a"]["temperature"]["value"] == [1.0, 2.0, 3.0, 4.0]


def test_a_reading_taken_again_at_the_same_time_replaces_the_first(store: Store) -> None:
    add(store, "a", message([10.0], temperature=[None]))
    add(store, "a", message([10.0], temperature=[5.0]))
    with store.reading() as connection:
        assert mirror.columns(connection)["a"]["temperature"]["value"] == [5.0]


def test_times_keep_their_microseconds(store: Store) -> None:
    t = 1_700_000_000.123456
    add(store, "a", message([t], temperature=[21.123456789]))
    with store.reading() as connection:
        assert mirror.columns(connection)["a"]["temperature"] == {"unit": "°C", "t": [t], "value": [21.123456789]}


def test_a_unit_that_changes_is_the_new_one(store: Store) -> None:
    add(store, "a", message([10.0], temperature=[20.0]))
    add(store, "a", DataUpdate(None, (20.0,), {"temperature": Column("K", (293.0,))}))
    with store.reading() as connection:
        assert mirror.columns(connection)["a"]["temperature"]["unit"] == "K"


@pytest.mark.parametrize(
    ("asked", "times"),
    [
        ({"since": 20.0}, [30.0, 40.0]),
        ({"limit": 3}, [20.0, 30.0, 40.0]),
        ({"since": 10.0, "limit": 1}, [40.0]),
        ({"limit": 0}, []),
        ({"since": 99.0}, []),
        ({"client": "a"}, [10.0, 20.0, 30.0, 40.0]),
    ],
)
def test_asking_for_less_gives_less(store: Store, asked: dict[str, Any], times: list[float]) -> None:
    add(store, "a", message([10.0, 20.0, 30.0, 40.0], temperature=[1.0, 2.0, 3.0, 4.0]))
    with store.reading() as connection:
        assert mirror.columns(connection, **asked)["a"]["temperature"]["t"] == times


def test_one_client_is_given_alone_and_an_unknown_one_not_at_all(store: Store) -> None:
    add(store, "a", message([10.0], temperature=[1.0]))
    add(store, "b", message([10.0], temperature=[1.0]))
    with store.reading() as connection:
        assert list(mirror.columns(connection, client="b")) == ["b"]
        assert mirror.columns(connection, client="nobody") == {}


def test_a_long_stretch_is_stored_whole(store: Store) -> None:
    times = [float(t) for t in range(10_000)]
    assert add(store, "a", message(times, temperature=list(times))) == 10_000
    with store.reading() as connection:
        assert mirror.columns(connection)["a"]["temperature"]["value"] == times


def test_of_a_long_record_a_few_readings_stand_for_all_and_no_spike_or_gap_is_lost() -> None:
    times = [float(t) for t in range(10_000)]
    value: list[float | None] = [20.0 + t % 7 / 10 for t in range(10_000)]
    value[6_543], value[8_765] = 55.0, -9.0
    value[2_000:2_400] = [None] * 400
    t, kept = mirror.thinned(times, value, 100)
    assert len(t) == len(kept) <= 100
    assert t == sorted(set(t))
    assert all(value[int(at)] == what for at, what in zip(t, kept, strict=True)), "each is one of those that were"
    assert {55.0, -9.0} <= set(kept)
    assert 0 < kept.count(None) <= 2
    assert mirror.thinned(times, [None] * 10_000, 10)[1] == [None] * 5
    assert mirror.thinned(times[:5], value[:5], 5) == (times[:5], value[:5])


def test_readings_are_let_go_when_their_time_is_over_in_their_own_channels_only(store: Store) -> None:
    add(store, "a", message([10.0, 20.0, 30.0], temperature=[1.0, 2.0, 3.0], humidity=[1.0, 2.0, 3.0]))
    add(store, "b", message([10.0], temperature=[1.0]))
    with store.writing() as connection:
        mirror.add(connection, "a", message([40.0], temperature=[4.0]), keep=20.0)
    with store.reading() as connection:
        found = mirror.columns(connection)
    assert found["a"]["temperature"]["t"] == [20.0, 30.0, 40.0]
    assert found["a"]["humidity"]["t"] == [10.0, 20.0, 30.0]
    assert found["b"]["temperature"]["t"] == [10.0]


def test_a_clock_that_runs_ahead_costs_no_reading(store: Store) -> None:
    now = time.time()
    add(store, "a", message([now - 50, now - 10], temperature=[1.0, 2.0]))
    with store.writing() as connection:
        mirror.add(connection, "a", message([now + 1e9], temperature=[3.0]), keep=3600.0)
    with store.reading() as connection:
        assert len(mirror.columns(connection)["a"]["temperature"]["t"]) == 3


def test_a_reset_forgets_readings(store: Store) -> None:
    add(store, "a", message([10.0], temperature=[1.0]))
    with store.writing() as connection:
        reset(connection)
        assert connection.scalar(select(func.count()).select_from(mirror.readings)) == 0
    with store.reading() as connection:
        assert mirror.columns(connection) == {}


@pytest.mark.parametrize(
    "module",
    [
        "bramble_server.learning.aggregate",
        "bramble_server.learning.strategies",
        "bramble_server.rounds.roundfile",
        "bramble_server.rounds.synchronous",
    ],
)
def test_nothing_that_averages_loads_the_mirror(module: str) -> None:
    check = f"import sys, {module}; sys.exit('bramble_server.store.mirror' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_one_client_keeps_so_many_readings_and_no_more(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    for start in range(0, 3000, 100):
        times: list[Any] = [float(t) for t in range(start, start + 100)]
        with store.writing() as connection:
            mirror.add(connection, "a", message(times, temperature=times, humidity=times), most=1000)
    with store.reading() as connection:
        kept = mirror.columns(connection)["a"]
    assert kept["temperature"]["t"] == kept["humidity"]["t"] == [float(t) for t in range(2500, 3000)], "the newest, each channel its share"
    assert caplog.text.count("the oldest make room; raise keep_per_client") == 1


def test_one_client_has_so_many_channels_and_no_more(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(mirror.MOST_CHANNELS + 20):
        add(store, "many", DataUpdate(None, (1.0,), {f"c{number}": Column("V", (1.0,))}))
    add(store, "many", DataUpdate(None, (2.0,), {"c0": Column("V", (1.0,))}))
    with store.reading() as connection:
        kept = mirror.columns(connection)["many"]
    assert len(kept) == mirror.MOST_CHANNELS
    assert kept["c0"]["t"] == [1.0, 2.0]
    assert caplog.text.count("not kept") == 1


def test_pages_from_the_oldest_on_have_each_reading_once(store: Store) -> None:
    add(store, "a", message([float(t) for t in range(10)], temperature=[float(t) for t in range(10)]))
    add(store, "a", message([0.5, 4.0, 8.5], humidity=[50.0, 51.0, 52.0]))
    pages: list[dict[str, Any]] = []
    since: float | None = None
    with store.reading() as connection:
        while True:
            page = mirror.columns(connection, since, 4, "a", oldest=True)["a"]
            since = max((column["t"][-1] for column in page.values() if column["t"]), default=None)
            if since is None:
                break
            pages.append(page)
    assert len(pages) == 3
    for key, times in (("temperature", [float(t) for t in range(10)]), ("humidity", [0.5, 4.0, 8.5])):
        assert [t for page in pages for t in page[key]["t"]] == times
