"""The machine of secure rounds is held to every machine's promises, and to those of its own: who missed a phase is out for good."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from bramble_protocol.secure import LEAST
from bramble_server.rounds import secure
from bramble_server.rounds.machine import (
    Abandon,
    Accept,
    Action,
    Commit,
    Event,
    Keep,
    Left,
    Machine,
    PhaseOver,
    Refuse,
    Reset,
    Resumed,
    Rules,
    Said,
    Start,
    Tell,
    Update,
)
from bramble_server.rounds.secure import PHASES
from tests.examples import examples
from tests.server.rounds.promises import Promises, clients


class SecurePromises(Promises):
    """Drives the phases, too."""

    machine: ClassVar[Machine[Any]] = secure
    state: Any

    def __init__(self) -> None:
        super().__init__()
        self.kept: set[tuple[int, str, str]] = set()
        self.going: set[str] = set()
        """Who was told to go on into the present phase."""

    def perform(self, action: Action, event: Event) -> None:
        match action:
            case Keep(said):
                assert said is event
                assert (said.round, said.client, said.phase) not in self.kept, "nothing is taken twice"
                self.kept.add((said.round, said.client, said.phase))
            case Tell(number, phase, told):
                assert self.is_open(number)
                before = PHASES[PHASES.index(phase) - 1]
                did = {client for client in told if (number, client, before) in self.kept or client in self.folded[number]}
                assert did == set(told), "who missed a phase is out for good"
                assert PHASES[1] == phase or set(told) <= self.going
                assert len(told) >= max(LEAST, self.needed.min_updates)
                self.going = set(told)
            case Commit(number):
                opened = {client for client in self.going if (number, client, PHASES[-1]) in self.kept}
                assert len(opened) >= max(LEAST, self.needed.min_updates), "so many open it, or nobody does"
                super().perform(action, event)
            case Abandon(number):
                assert self.is_open(number)
                self.ended[number] = "abandoned"
            case _:
                super().perform(action, event)

    @rule(client=clients, phase=st.sampled_from(PHASES), back=st.integers(0, 1))
    def said(self, client: str, phase: str, back: int) -> None:
        self.happen(Said(client, self.number - back, phase, b""))

    @rule()
    def all_do_the_phase(self) -> None:
        """Or rounds would hardly ever get anywhere."""
        running, phase = self.state.running, self.state.phase
        for client in sorted(running.pending) if running else ():
            if self.state.running and self.state.phase == phase:
                if phase == "masked":
                    self.deliver(client, running.number)
                else:
                    assert Accept() in self.happen(Said(client, running.number, phase, b""))

    @rule(phase=st.sampled_from(PHASES))
    def phase_over(self, phase: str) -> None:
        running, before = self.state.running, self.state.phase
        self.happen(PhaseOver(self.number, phase))
        if running and phase == before:
            assert self.state.running is None or self.state.phase != before

    @rule()
    def restart(self) -> None:
        """A round does not outlive its process, and what was answered in those before is answered alike."""
        running = self.state.running
        self.state = self.machine.begin(self.needed, self.state.last, dict(self.state.answered))
        if running:
            self.state = self.machine.replayed(self.state, running.number, self.asked[running.number], ())
            (ending,) = self.happen(Resumed())
            assert isinstance(ending, Abandon)
            self.accepted = {(client, number) for client, number in self.accepted if number != running.number}

    @invariant()
    def the_books_agree(self) -> None:
        running = self.state.running
        assert set(self.asked) - set(self.ended) == ({running.number} if running else set())
        if running:
            assert running.updated == self.folded[running.number]
            assert not (set(running.failed) | set(running.pending)) - running.selected
            assert not set(running.failed) & (set(running.pending) | set(running.updated)), "who is out is out"

    @invariant()
    def no_round_goes_on_that_has_enough(self) -> None:
        """It waits for everybody that is left."""


SecurePromises.TestCase.settings = settings(
    max_examples=examples(60), stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestTheMachineOfSecureRounds = pytest.mark.slow(SecurePromises.TestCase)


def test_a_second_masked_vector_is_refused_and_a_repeat_is_not() -> None:
    state = secure.begin(Rules(2, 2))
    state, _ = secure.step(state, Start(["a", "b", "c"]))
    for phase in PHASES[:2]:
        for client in "abc":
            state, _ = secure.step(state, Said(client, 1, phase, b""))
    state, _ = secure.step(state, Update("a", 1, "digest"))
    assert secure.step(state, Update("a", 1, "digest")) == (state, (Accept(),))
    after, (refused,) = secure.step(state, Update("a", 1, "another"))
    assert after == state
    assert isinstance(refused, Refuse)
    assert "would tell their difference" in refused.reason
    assert secure.step(state, Reset())[1] == (Abandon(1, "reset"),)


@pytest.mark.parametrize("gone", [2, 3])
def test_a_round_of_five_opens_with_three_and_not_with_two(gone: int) -> None:
    state = secure.begin(Rules(2, 1))
    state, _ = secure.step(state, Start(list("abcde")))
    for phase in PHASES:
        actions: tuple[Action, ...] = ()
        for client in sorted(state.running.pending if state.running else ()):
            left = phase == "shares" and client in "abcde"[:gone]
            did = Update(client, 1) if phase == "masked" else Said(client, 1, phase, b"")
            state, actions = secure.step(state, Left(client) if left else did)
        if state.running is None:
            break
    (ending,) = actions[-1:]
    assert isinstance(ending, Commit if gone == 2 else Abandon)
