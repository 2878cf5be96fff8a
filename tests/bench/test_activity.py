"""A person's exercises through the chip, the driver and the button's rules become the windows that a client trains on."""

from __future__ import annotations

import numpy as np
import pytest

from bench import labels
from bench.activity import Ready, accuracy, of, read, said, steps_of, train
from bramble_client.learn.runtime import Runtime
from bramble_client.recordings.exercises import CLASSES, HERTZ, Person, people
from bramble_server import tasks

GRAPH = tasks.load("activity")


@pytest.fixture(scope="module")
def person() -> Person:
    """Return fifty seconds of somebody's exercises: the pendulum with either arm, then abduction with either."""
    whole = people()["person-04"]
    change = int(np.flatnonzero(np.diff(whole.labels))[0])
    part = slice(change - 25 * int(HERTZ), change + 25 * int(HERTZ))
    return Person(whole.name, whole.times[part], whole.values[part], whole.labels[part])


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(GRAPH.flatbuffer)


@pytest.mark.slow
def test_what_the_driver_reads_is_what_the_watch_felt(person: Person) -> None:
    times, values = read(person)
    assert np.isfinite(values).all()
    following = np.searchsorted(person.times, times).clip(1, len(person.times) - 1)
    within = person.times[following] - person.times[following - 1] < 1.0
    for axis in range(6):
        felt = np.interp(times[within], person.times, person.values[:, axis])
        assert np.corrcoef(felt, values[within, axis])[0, 1] > 0.98


@pytest.mark.slow
def test_windows_have_the_label_of_who_pressed_the_button_and_none_is_of_two_exercises(person: Person) -> None:
    found = of(person, GRAPH.manifest)
    labels = found.targets["label"]
    # each of the four stretches has a window a second, but for those that its ends cut
    assert 50 - 4 * 2 <= len(found) <= 50 - 4
    true = person.labels[np.searchsorted(person.times, found.time) - 1]
    np.testing.assert_array_equal(labels, true)
    assert set(labels) == set(person.labels.astype(int))


def test_whoever_labels_presses_until_it_is_the_right_exercise_and_says_when_it_ends(person: Person) -> None:
    labels = said(person)
    assert [label for _, label in labels] == ["pendulum", "", "pendulum", "", "abduction", "", "abduction", ""]
    assert set(person.labels) == {CLASSES.index("pendulum"), CLASSES.index("abduction")}
    assert (labels[0][0], labels[-1][0]) == (person.times[0], person.times[-1])


@pytest.mark.slow
def test_a_run_on_them_learns_to_tell_the_two_apart(person: Person, runtime: Runtime) -> None:
    own = of(person, GRAPH.manifest)
    ready = Ready(GRAPH, runtime, {person.name: own})
    before = accuracy(ready, own, GRAPH.initial)
    assert before < 0.9 < accuracy(ready, own, train(ready, own, GRAPH.initial, 20 * steps_of(ready, own), (0,)))


@pytest.mark.slow
def test_on_a_budget_no_more_than_its_part_of_the_windows_is_labelled(
    person: Person, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "PARTS", 2)
    monkeypatch.setattr(labels, "ROUNDS", (2, 4))
    monkeypatch.setattr(labels, "LAST", 2)
    ready = Ready(GRAPH, runtime, {person.name: of(person, GRAPH.manifest)})
    accuracies, share = labels.budgeted(ready, 0, all_labels=False)
    assert len(accuracies) == 2
    assert np.isfinite(accuracies).all()
    assert 0 < share <= labels.LABELS + 1 / 40
    assert labels.budgeted(ready, 0, all_labels=True)[1] == 1
