from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bramble_server.store import Store, models, reset
from bramble_server.store.models import LatestUpdate


def save(store: Store, *numbers: int, keep: int = 20) -> None:
    for number in numbers:
        with store.writing() as connection:
            models.save(connection, "climate", number, np.full(3, number, np.float32), models.UNKNOWN, keep)


def test_there_is_no_model_before_the_first(store: Store) -> None:
    with store.reading() as connection:
        assert models.latest(connection, "climate") is None
        assert models.get(connection, "climate", 1) is None


def test_the_newest_model_survives_a_restart_bit_for_bit(store: Store, reopen: Callable[[], Store]) -> None:
    weights = np.random.default_rng(0).standard_normal(1000, np.float32)
    save(store, 1)
    with store.writing() as connection:
        models.save(connection, "climate", 3, weights, models.UNKNOWN, 20)
    with reopen().reading() as connection:
        found = models.latest(connection, "climate")
        assert found is not None
        number, back = found
        assert number == 3
        np.testing.assert_array_equal(back, weights)
        assert back.dtype == np.float32
        np.testing.assert_array_equal(models.get(connection, "climate", 1), [1, 1, 1])


@pytest.mark.parametrize(("keep", "left"), [(3, [5, 7, 9]), (1, [9]), (0, [9]), (20, [1, 2, 5, 7, 9])])
def test_only_so_many_models_are_kept_and_always_the_last(store: Store, keep: int, left: list[int]) -> None:
    save(store, 1, 2, 5, 7, 9, keep=keep)
    with store.reading() as connection:
        assert models.kept(connection, "climate") == left
        found = models.latest(connection, "climate")
        assert found is not None
        assert found[0] == 9


def update(client: str, number: int, value: float | None = None) -> LatestUpdate:
    weights = None if value is None else np.full(4, value, np.float32)
    return LatestUpdate("climate", client, number, 10, {"loss_after": 0.5}, 1.0, 0.5, 0.25, weights)


def test_each_client_has_one_latest_update_the_newest(store: Store) -> None:
    with store.writing() as connection:
        for item in (update("b", 1, 1.0), update("a", 1, 2.0), update("b", 2, 3.0)):
            models.save_updates(connection, item)
    with store.reading() as connection:
        first, second = models.latest_updates_of_all(connection, "climate")
    assert (first.client, first.round, second.client, second.round) == ("a", 1, "b", 2)
    np.testing.assert_array_equal(second.weights, [3, 3, 3, 3])
    assert (second.samples, second.metrics, second.update_norm, second.cosine, second.distance) == (10, {"loss_after": 0.5}, 1.0, 0.5, 0.25)


def test_weights_are_left_out_where_they_are_not_wanted_or_were_never_kept(store: Store) -> None:
    with store.writing() as connection:
        models.save_updates(connection, update("a", 1, 1.0))
        models.save_updates(connection, update("b", 1))
    with store.reading() as connection:
        assert [item.weights for item in models.latest_updates_of_all(connection, "climate", weights=False)] == [None, None]
        assert [item.weights is None for item in models.latest_updates_of_all(connection, "climate")] == [False, True]


def test_a_private_update_takes_the_weights_of_an_earlier_one_away(store: Store) -> None:
    with store.writing() as connection:
        models.save_updates(connection, update("a", 1, 1.0))
        models.save_updates(connection, update("a", 2))
    with store.reading() as connection:
        assert [item.weights for item in models.latest_updates_of_all(connection, "climate")] == [None]


def test_what_evaluation_mode_kept_of_clients_weights_is_erased_on_the_disk_too(store: Store) -> None:
    with store.writing() as connection:
        models.save_updates(
            connection, LatestUpdate("climate", "a", 1, 1, {"loss_after": 1.0}, weights=np.full(50_000, 1.2345, np.float32))
        )
    with store.writing() as connection:
        models.forget_clients_weights(connection)
    with store.reading() as connection:
        (found,) = models.latest_updates_of_all(connection, "climate")
    assert (found.weights, found.metrics) == (None, {"loss_after": 1.0})
    store.close()
    path = Path(store.where)
    if path.exists():  # PostgreSQL's files are its own
        assert np.full(100, 1.2345, "<f4").tobytes() not in b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


def test_updates_of_all_are_read_one_at_a_time(store: Store) -> None:
    size = 250_000
    with store.writing() as connection:
        for index in range(20):
            models.save_updates(connection, LatestUpdate("climate", f"pi-{index}", 1, 1, {}, weights=np.ones(size, np.float32)))
    tracemalloc.start()
    try:
        with store.reading() as connection:
            count = sum(item.weights is not None for item in models.latest_updates_of_all(connection, "climate"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20
    assert peak < 6 * 4 * size


def test_a_reset_forgets_models_and_updates(store: Store) -> None:
    save(store, 1)
    with store.writing() as connection:
        models.save_updates(connection, update("a", 1, 1.0))
        reset(connection)
    with store.reading() as connection:
        assert models.latest(connection, "climate") is None
        assert list(models.latest_updates_of_all(connection, "climate")) == []
