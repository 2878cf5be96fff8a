"""Who was ever seen, kept across restarts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bramble_protocol.health import Health
from bramble_protocol.messages import Channel, Column, DataUpdate, Handshake
from bramble_server.fleet.chronicle import EVERY
from bramble_server.fleet.plausibility import Needs
from bramble_server.fleet.registry import Registry
from bramble_server.fleet.registry_store import LATER, SOON, RegistryStore
from bramble_server.store import Store, StoreError, clients, mirror, models
from tests.server.database import migrated
from tests.server.office import Clock

CHANNELS = (Channel("temperature", "°C"),)


class Kept:
    """A fleet, its registry and its database."""

    def __init__(self, store: Store) -> None:
        self.store, self.clock = store, Clock()
        self.registry = Registry({"climate": Needs(CHANNELS)}, self.clock)
        with store.reading() as connection:
            self.registry_store = RegistryStore(self.registry, clients.load(connection), clients.load_courses(connection), self.clock)

    def write(self, work: Callable[[Connection], None]) -> None:
        with self.store.writing() as connection:
            work(connection)

    def join(self, name: str, **other: Any) -> None:
        self.registry.join(Handshake(2, name, channels=CHANNELS, version="0.2.0", **other), f"s-{name}", "10.0.0.1")


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = Store(migrated(tmp_path))
    yield opened
    opened.close()


def test_a_new_server_knows_who_was_there_and_that_they_are_gone(store: Store) -> None:
    first = Kept(store)
    first.join("pi-1", simulated=True)
    first.join("pi-2")
    first.registry.seen("s-pi-1", cycle=3)
    first.registry.report("pi-1", Health(sent=5.0, sensors_gone=("bme280",), soc_temperature=50.0, sensors_doubted=("roof",)))
    first.registry.leave("s-pi-2")
    first.registry_store.keep(first.write)
    before, after = first.registry.to_json([]), Kept(store).registry.to_json([])
    assert list(after) == ["pi-1", "pi-2"]
    assert not any(client["connected"] for client in after.values())
    for name in ("simulated", "version", "protocol", "channels", "last_seen", "last_cycle", "health", "health_at", "fits", "remarks"):
        assert [client[name] for client in after.values()] == [client[name] for client in before.values()], name
    assert after["pi-1"]["since"] == before["pi-1"]["last_seen"], "gone since it was seen last"


def test_what_is_written_is_what_changed_soon_for_coming_and_going_later_for_the_rest(store: Store) -> None:
    kept = Kept(store)
    assert kept.registry_store.due() == LATER
    kept.join("pi-1")
    assert kept.registry_store.due() == SOON
    kept.clock.now += SOON
    assert kept.registry_store.due() == 0
    kept.registry_store.keep(kept.write)
    assert kept.registry_store.due() == LATER
    kept.registry.seen("s-pi-1")
    assert kept.registry_store.due() == LATER
    kept.registry_store.keep(kept.write)
    kept.registry_store.keep(lambda work: pytest.fail("nothing has changed"))


def test_who_is_forgotten_is_forgotten_on_disk_too(store: Store) -> None:
    kept = Kept(store)
    for name in ("pi-1", "pi-2"):
        kept.join(name)
    kept.registry_store.keep(kept.write)
    with store.writing() as connection:
        for name in ("pi-1", "pi-2"):
            models.save_updates(connection, models.LatestUpdate("climate", name, 1, 1, {}))
            mirror.add(connection, name, DataUpdate(None, (1.0,), {"temperature": Column("°C", (20.0,))}))
    kept.registry.leave("s-pi-1")
    assert not kept.registry.forget("pi-2"), "it is connected"
    assert kept.registry.forget("pi-1")
    assert not kept.registry.forget("pi-1")
    kept.registry_store.keep(kept.write)
    assert list(Kept(store).registry.to_json([])) == ["pi-2"]
    with store.reading() as connection:
        assert [update.client for update in models.latest_updates_of_all(connection, "climate")] == ["pi-2"], "nor is its last update kept"
        assert mirror.clients(connection) == ["pi-2"]


def test_a_new_server_tells_what_happened_before_it(store: Store) -> None:
    first = Kept(store)
    first.join("pi-1")
    for minute in range(10):
        first.clock.now += 60
        first.registry.seen("s-pi-1")
        used = {"climate": "global" if minute else "baseline"}
        first.registry.report("pi-1", Health(first.clock.time(), soc_temperature=50.0 + minute, in_use=used))
        first.registry.chronicle.came("pi-1", "health", 300)
        if minute == 5:
            first.registry_store.keep(first.write)
    first.registry_store.keep(first.write)
    before, new = first.registry.chronicle.to_json("pi-1"), Kept(store)
    after = new.registry.chronicle.to_json("pi-1")
    assert [event["kind"] for event in before["events"]] == ["connected", "in use"]
    assert [event["kind"] for event in after["events"]] == ["connected", "server"], "what it goes by is not written down"
    assert {**after, "events": None} == {**before, "events": None}
    assert after["came"] == {"health": {"messages": 10, "bytes": 3000}}
    assert after["health"]["soc_temperature"] == [50.0 + minute for minute in range(10)]
    new.join("pi-1")
    new.registry.leave("s-pi-1")
    assert new.registry.forget("pi-1")
    new.registry_store.keep(new.write)
    assert Kept(store).registry.chronicle.to_json("pi-1") == {"since": None, "events": [], "health": None, "came": {}}
    with store.reading() as connection:
        assert clients.load_courses(connection) == []


def test_the_course_of_a_machine_is_written_only_where_it_has_another_point(store: Store) -> None:
    kept = Kept(store)
    kept.join("pi-1")

    def written() -> list[str]:
        with store.writing() as connection:
            connection.exec_driver_sql("DELETE FROM courses")
        kept.registry_store.keep(kept.write)
        with store.reading() as connection:
            return [course["client"] for course in clients.load_courses(connection)]

    for seconds, expected in ((0.0, ["pi-1"]), (EVERY / 3, []), (EVERY, ["pi-1"])):
        kept.clock.now += seconds
        kept.registry.seen("s-pi-1")
        kept.registry.report("pi-1", Health(kept.clock.time(), memory_free=200.0))
        assert written() == expected


def test_with_a_disk_that_refuses_nothing_is_lost(store: Store) -> None:
    kept = Kept(store)
    kept.join("pi-1")
    kept.registry.report("pi-1", Health(kept.clock.time(), memory_free=200.0))

    def refuse(work: Callable[[Connection], None]) -> None:
        raise StoreError("the disk is full")

    for _ in range(3):
        kept.registry_store.keep(refuse)
        assert kept.registry_store.due() == LATER, "not every second"
    kept.registry_store.keep(kept.write)
    assert list(Kept(store).registry.to_json([])) == ["pi-1"]
    assert Kept(store).registry.chronicle.to_json("pi-1")["health"]["memory_free"] == [200.0]


def test_a_list_of_invented_names_is_bounded_and_pushes_nobody_off_who_stayed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble_server.fleet.registry.REMEMBERED", 20)
    kept = Kept(store)
    kept.join("pi-kitchen")
    kept.clock.now += 3600.0
    kept.registry.seen("s-pi-kitchen")
    kept.registry.leave("s-pi-kitchen")
    for number in range(100):
        kept.clock.now += 1
        kept.join(f"invented-{number}")
        kept.registry.leave(f"s-invented-{number}")
        kept.registry_store.keep(kept.write)
    assert "pi-kitchen" in kept.registry.absent()
    with store.reading() as connection:
        assert len(clients.load(connection)) == 20
