"""The simulated world's clock, and whose readings are still to come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble_protocol.messages import GenerateData
from bramble_server.rounds.cycles import Cycles
from bramble_server.store import Store
from tests.server.database import migrated

HOUR = 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(migrated(tmp_path))
    yield opened
    opened.close()


def begin(cycles: Cycles, store: Store, count: int, *clients: str, until: float = 100.0) -> GenerateData:
    message = cycles.next(count)
    with store.writing() as connection:
        cycles.save(connection, message)
    cycles.begun(message, clients, until)
    return message


def reopened(store: Store) -> Cycles:
    with store.reading() as connection:
        return Cycles(Cycles.load(connection), 1000.0, HOUR)


def test_each_cycle_goes_on_where_the_last_one_ended(store: Store) -> None:
    cycles = reopened(store)
    assert begin(cycles, store, 3) == GenerateData(1, 1000.0, HOUR, 3)
    assert begin(cycles, store, 2) == GenerateData(2, 1000.0 + 3 * HOUR, HOUR, 2)
    assert reopened(store).next(1) == GenerateData(3, 1000.0 + 5 * HOUR, HOUR, 1), "after a restart too"


def test_a_cycle_that_could_not_be_stored_has_not_begun(store: Store) -> None:
    cycles = reopened(store)
    assert cycles.next(3) == cycles.next(3)
    assert (cycles.cycle, cycles.waiting_for()) == (0, [])


def test_a_client_is_waited_for_until_all_its_readings_came(store: Store) -> None:
    cycles = reopened(store)
    begin(cycles, store, 5, "pi-1", "pi-2")
    assert not cycles.arrived("pi-1", 1, 3)
    assert not cycles.arrived("pi-1", None, 9), "what it measured besides does not count"
    assert not cycles.arrived("pi-1", 7, 9)
    assert not cycles.arrived("stranger", 1, 9)
    assert cycles.waiting_for() == ["pi-1", "pi-2"]
    assert cycles.arrived("pi-1", 1, 2)
    assert cycles.waiting_for() == ["pi-2"]
    assert cycles.left("pi-2")
    assert not cycles.left("pi-2")
    assert cycles.waiting_for() == []


def test_waiting_ends_with_its_time(store: Store) -> None:
    cycles = reopened(store)
    assert cycles.due(0.0) is None
    begin(cycles, store, 5, "pi-1", "pi-2", until=30.0)
    assert (cycles.due(10.0), cycles.due(31.0)) == (20.0, 0.0)
    assert cycles.give_up() == ["pi-1", "pi-2"]
    assert cycles.due(31.0) is None


def test_a_reset_turns_the_clock_back_and_voids_what_was_asked_for_but_uses_no_number_twice(store: Store) -> None:
    cycles = reopened(store)
    begin(cycles, store, 5, "pi-1")
    with store.writing() as connection:
        cycles.save_reset(connection)
        connection.exec_driver_sql("DELETE FROM meta WHERE name = 'world_t'")
    cycles.reset()
    for one in (cycles, reopened(store)):
        assert (one.reset_at, one.waiting_for()) == (1, [])
        assert one.next(1) == GenerateData(2, 1000.0, HOUR, 1)
