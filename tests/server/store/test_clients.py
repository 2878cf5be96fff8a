"""Who was ever seen, as rows."""

from __future__ import annotations

from typing import Any

from bramble_server.store import Store, clients, reset

ROW: dict[str, Any] = {
    "id": "pi-1", "simulated": False, "version": "0.2.0", "protocol": 2, "channels": [{"key": "temperature", "unit": "°C"}],
    "first_seen": 1.5, "since": 2.5, "last_seen": 1700000000.123, "last_cycle": None, "health": {"sent": 1.0}, "health_at": 3.0,
    "groups": {"building": "north"}, "past": {"since": 1.5, "events": [[1.5, "connected", "connected"]], "came": {"health": [2, 600]}},
}  # fmt: skip


def test_a_client_comes_back_as_it_was_saved_and_is_replaced_by_its_id(store: Store) -> None:
    other = {**ROW, "id": "pi-2", "since": 1.0, "health": None, "health_at": None, "last_cycle": 7}
    with store.writing() as connection:
        clients.save(connection, [ROW, other])
        clients.save(connection, [{**ROW, "version": "0.3.0"}])
    with store.reading() as connection:
        assert clients.load(connection) == [other, {**ROW, "version": "0.3.0"}]
    with store.writing() as connection:
        clients.save(connection, [], {"pi-2", "nobody"})
        reset(connection)
        assert [client["id"] for client in clients.load(connection)] == ["pi-1"], "a reset forgets what was learned, not who there is"
