"""A set that is never changed, beside Python's own; and that a round's work for each client does not grow with the fleet."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bramble_server.rounds import synchronous
from bramble_server.rounds.cycles import Cycles
from bramble_server.rounds.machine import Start, Update
from bramble_server.rounds.members import Members
from bramble_server.rounds.synchronous import State, step
from bramble_server.rounds.view import Model, Progress, View


class Alike(str):
    """A name whose hash many others have, too."""

    def __hash__(self) -> int:
        return len(self) % 2

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)


names = st.one_of(st.integers(0, 200).map("pi-{}".format), st.integers(0, 60).map(lambda n: Alike("x" * n)))


@given(first=st.sets(names, max_size=120), changes=st.lists(st.tuples(names, st.booleans()), max_size=60))
def test_each_version_stays_what_it_was(first: set[str], changes: list[tuple[str, bool]]) -> None:
    versions = [(Members(first), frozenset(first))]
    for name, there in changes:
        mine, plain = versions[-1]
        versions.append((mine.including(name), plain | {name}) if there else (mine.excluding(name), plain - {name}))
    for mine, plain in versions:
        assert len(mine) == len(plain)
        assert mine == plain
        assert hash(mine) == hash(plain)
        assert sorted(mine) == sorted(plain)
        assert all((name in mine) == (name in plain) for name, _ in changes)


@given(first=st.sets(names, max_size=20), changes=st.lists(st.tuples(st.integers(0, 60), names, st.booleans()), max_size=60))
def test_of_one_that_was_changed_before_another_comes_and_neither_knows_of_it(
    first: set[str], changes: list[tuple[int, str, bool]]
) -> None:
    versions = [(Members(first), frozenset(first))]
    for which, name, there in changes:
        mine, plain = versions[which % len(versions)]
        versions.append((mine.including(name), plain | {name}) if there else (mine.excluding(name), plain - {name}))
    assert all(mine == plain and len(mine) == len(plain) for mine, plain in versions)


def work(clients: int) -> int:
    """Return how many calls are made, and names compared, in a round of so many clients whose view is replaced with each update."""
    touched = 0

    class Ordered(str):
        def __lt__(self, other: str) -> bool:
            nonlocal touched
            touched += 1
            return str.__lt__(self, other)

    def seen(frame: Any, what: str, argument: object) -> None:
        nonlocal touched
        touched += what in ("call", "c_call")

    fleet = [Ordered(f"pi-{n:05}") for n in range(clients)]
    state, _ = step(State(), Start(fleet))
    model = Model(0, np.zeros(1, np.float32), {})
    view, cycles, former = View(1, {}), Cycles({}, 0.0, 1.0), sys.getprofile()
    touched = 0  # who is asked is put in order once
    sys.setprofile(seen)
    try:
        for client in fleet:
            event = Update(client, 1)
            assert synchronous.counts(state, event)
            state, _ = step(state, event)
            view = View(view.revision + 1, {"small": Progress(model, state.running)}, cycles.cycle, cycles.owing)
    finally:
        sys.setprofile(former)
    assert view.tasks["small"].running is None
    return touched


def test_a_rounds_work_grows_with_its_clients_and_no_faster() -> None:
    few, many = 500, 8_000
    slope = math.log(work(many) / work(few)) / math.log(many / few)
    assert slope <= 1.05
