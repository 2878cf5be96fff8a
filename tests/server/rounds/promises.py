"""What any machine of rounds must hold, whatever order of events hypothesis thinks of; see :class:`bramble_server.rounds.machine.Machine`.

To try one: a subclass with ``machine``, and its ``TestCase``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, get_args

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bramble_server.rounds.machine import (
    REMEMBERED,
    Abandon,
    Accept,
    Action,
    Ask,
    Commit,
    Deadline,
    Dismiss,
    Drop,
    Earlier,
    Event,
    Failed,
    Fold,
    Joined,
    Left,
    Machine,
    Noted,
    Numbered,
    Open,
    Refuse,
    Reset,
    Restore,
    Resumed,
    Rollback,
    Rules,
    Said,
    Start,
    State,
    Update,
)

CLIENTS = [f"pi-{n}" for n in range(5)]
clients = st.sampled_from(CLIENTS)


class Promises(RuleBasedStateMachine):
    """Performs the actions as the coordinator does, keeps books of its own, and holds the machine to what it promises."""

    machine: ClassVar[Machine[Any]]
    staleness: ClassVar[int] = 0
    """Rounds that may end while a client trains, and what it brings counts all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[int, dict[str, int]] = {}
        """By round who takes part in it, each with the round that it was asked in."""
        self.folded: dict[int, set[str]] = {}
        """By round whose updates count in it."""
        self.answers: set[tuple[str, int]] = set()
        """Clients whose updates count, each with the round that it was asked in."""
        self.ended: dict[int, str] = {}
        self.accepted: set[tuple[str, int]] = set()
        self.noted: list[Noted] = []

    @initialize(min_clients=st.integers(0, 4), min_updates=st.integers(0, 4), last=st.integers(0, 3))
    def begin(self, min_clients: int, min_updates: int, last: int) -> None:
        self.needed, self.used = Rules(min_clients, min_updates), last
        self.state: State = self.machine.begin(self.needed, last)

    @property
    def number(self) -> int:
        return self.state.running.number if self.state.running else self.state.last

    def happen(self, event: Event) -> tuple[Action, ...]:
        before, counts = self.state, isinstance(event, Update) and self.machine.counts(self.state, event)
        self.state, actions = self.machine.step(before, event)
        replies = [action for action in actions if isinstance(action, Open | Accept | Refuse | Restore)]
        assert len(replies) == isinstance(event, Start | Update | Said | Failed | Rollback), (
            "who waits gets one answer, and nobody else any"
        )
        if replies and isinstance(replies[0], Refuse):
            kept = [(state.last, state.running, state.answered) for state in (before, self.state)]
            assert kept[0] == kept[1], "a refusal changes nothing that counts"
            assert len(actions) == 1
        assert counts == any(isinstance(action, Fold) for action in actions), "what is folded was put aside before, and nothing else"
        if isinstance(event, get_args(Noted)) and self.state is not before:
            self.noted.append(event)
        for action in actions:
            self.perform(action, event)
        return actions

    def perform(self, action: Action, event: Event) -> None:
        match action:
            case Open(number, chosen, under_way):
                assert number > self.used, "a number is used once"
                assert len(set(chosen)) == len(chosen)
                assert not under_way.keys() & set(chosen), "who trains is not asked for something else"
                self.opens(chosen, under_way)
                parts = dict.fromkeys(chosen, number) | {client: earlier.round for client, earlier in under_way.items()}
                self.used, self.asked[number], self.folded[number], self.noted = number, parts, set(), []
            case Restore(number):
                assert number > self.used, "a number is used once"
                self.used = number
            case Fold(number, client):
                assert self.is_open(number)
                assert isinstance(event, Update)
                assert self.asked[number].get(client) == event.round, "what counts was asked for"
                assert client not in self.folded[number], "nothing counts twice"
                assert (client, event.round) not in self.answers, "nor in two rounds"
                self.folded[number].add(client)
                self.answers.add((client, event.round))
            case Ask(number, client):
                assert self.state.running
                assert self.asked[self.state.running.number][client] == number, "asked again is what was asked"
                assert client not in self.folded[self.state.running.number]
            case Drop(number, client, _):
                assert self.is_open(number)
                assert client in self.asked[number].keys() - self.folded[number]
            case Dismiss(number, told):
                assert self.is_open(number), "who is not needed hears of it at once"
                assert set(told) <= self.asked[number].keys() - self.folded[number]
            case Commit(number):
                assert self.is_open(number)
                assert len(self.folded[number]) >= max(1, self.needed.min_updates)
                self.ended[number] = "committed"
            case Abandon(number, reason):
                assert self.is_open(number)
                assert reason == "reset" or len(self.folded[number]) < max(1, self.needed.min_updates)
                self.ended[number] = "abandoned"

    def opens(self, chosen: tuple[str, ...], under_way: Mapping[str, Earlier]) -> None:
        """Look at who takes part in a round that opens."""
        assert len(chosen) >= max(1, self.needed.min_clients)
        assert not under_way

    def is_open(self, number: int) -> bool:
        return number in self.asked and number not in self.ended

    @rule(chosen=st.lists(clients, max_size=8), enough=st.integers(0, 4))
    def start(self, chosen: list[str], enough: int) -> None:
        running = self.state.running
        reply, *others = self.happen(Start(chosen, enough=enough))
        assert not (running and isinstance(reply, Open)), "one round of a task at a time"
        assert all(isinstance(action, Ask) for action in others)

    @rule(client=clients)
    def update(self, client: str) -> None:
        self.deliver(client, self.number)

    @rule(client=clients, back=st.integers(-1, REMEMBERED + 1))
    def update_of_another_round(self, client: str, back: int) -> None:
        self.deliver(client, self.number - back)

    @rule(which=st.integers(0))
    def repeat(self, which: int) -> None:
        """Its acknowledgement got lost, so it comes again."""
        if known := sorted(self.accepted):
            self.deliver(*known[which % len(known)])

    def deliver(self, client: str, number: int) -> None:
        ended = sum(over >= number for over in self.ended)
        taken = Accept() in self.happen(Update(client, number))
        if (client, number) in self.accepted:
            assert taken or ended > REMEMBERED, "a repeat is answered as the first was"
        elif ended > self.staleness or number not in self.asked:
            assert not taken, "nothing new counts once the round is over"
        if taken:
            self.accepted.add((client, number))
            assert (client, number) in self.answers, "accepted means counted"

    @rule(client=clients, back=st.integers(-1, 3))
    def failed(self, client: str, back: int) -> None:
        self.happen(Failed(client, self.number - back, "busy"))

    @rule(client=clients)
    def left(self, client: str) -> None:
        self.happen(Left(client))

    @rule(client=clients)
    def joined(self, client: str) -> None:
        self.happen(Joined(client))

    @rule(back=st.integers(-1, 2))
    def deadline(self, back: int) -> None:
        running, number = self.state.running, self.number - back
        self.happen(Deadline(number))
        if running:
            assert self.is_open(running.number) == (running.number != number), "its own deadline ends a round, and no other"

    @rule()
    def rollback(self) -> None:
        running = self.state.running
        (reply,) = self.happen(Rollback())
        assert isinstance(reply, Refuse) == (running is not None), "what clients train from stays"

    @rule(more=st.integers(-2, 3))
    def numbered(self, more: int) -> None:
        """Another task takes numbers, as far as they are not taken."""
        if not self.state.running:
            assert self.happen(Numbered(self.used + more)) == ()
            self.used = max(self.used, self.used + more)

    @rule()
    def reset(self) -> None:
        running = self.state.running
        ending = self.happen(Reset())
        assert ending == ((Abandon(running.number, "reset"),) if running else ())

    @rule()
    def restart(self) -> None:
        """Go on in another process, with what is on record of the rounds that are over, and noted of the open one."""
        running, answered = self.state.running, dict(self.state.answered)
        self.state = self.machine.begin(self.needed, self.state.last, answered, {} if running else self.state.under_way)
        if running:
            self.state = self.machine.replayed(self.state, running.number, self.asked[running.number], self.noted, running.enough)
            assert self.state.running
            assert self.state.running.enough == running.enough, "it wants as many as before"
            assert self.state.running.updated == self.folded[running.number], "what was acknowledged still counts"
            self.happen(Resumed())

    @invariant()
    def the_books_agree(self) -> None:
        running = self.state.running
        assert set(self.asked) - set(self.ended) == ({running.number} if running else set()), "what was opened ends, once"
        assert self.state.last == self.used
        if running:
            assert running.selected == self.asked[running.number].keys()
            assert running.updated == self.folded[running.number]
            parts = (running.pending, running.updated, running.failed)
            assert sum(map(len, parts)) == len(frozenset().union(*parts))
            assert frozenset().union(*parts) <= running.selected

    @invariant()
    def no_round_goes_on_that_has_enough(self) -> None:
        running = self.state.running
        if running and running.enough:
            assert len(running.updated) < max(running.enough, self.needed.min_updates)

    @invariant()
    def memory_stays_bounded(self) -> None:
        assert len(self.state.answered) <= self.machine.remembered + (self.state.running is not None)
        assert self.state.under_way.keys() <= set(CLIENTS)

    def teardown(self) -> None:
        """Whatever happened: the deadline ends the open round."""
        running = self.state.running if hasattr(self, "state") else None
        if running:
            self.happen(Deadline(running.number))
            assert running.number in self.ended
            assert self.state.running is None
