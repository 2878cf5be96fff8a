"""The round machine against an independent bookkeeper, over whatever order of events hypothesis thinks of."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bramble_server.rounds.synchronous import (
    REMEMBERED,
    Abandon,
    Accept,
    Action,
    Ask,
    Commit,
    Deadline,
    Drop,
    Event,
    Failed,
    Fold,
    Joined,
    Left,
    Open,
    Refuse,
    Reset,
    Rules,
    Start,
    State,
    Update,
    step,
)

CLIENTS = [f"pi-{n}" for n in range(5)]
clients = st.sampled_from(CLIENTS)


class Machine(RuleBasedStateMachine):
    """Performs the actions as a coordinator would and holds the machine to its promises."""

    def __init__(self) -> None:
        super().__init__()
        self.folded: dict[int, set[str]] = {}
        self.ended: dict[int, str] = {}
        self.asked: dict[int, set[str]] = {}
        self.accepted: set[tuple[str, int]] = set()

    @initialize(min_clients=st.integers(0, 4), min_updates=st.integers(0, 4), last=st.integers(0, 3))
    def begin(self, min_clients: int, min_updates: int, last: int) -> None:
        self.state = State(Rules(min_clients, min_updates), last=last)
        self.first = last

    def happen(self, event: Event) -> tuple[Action, ...]:
        before = self.state
        self.state, actions = step(before, event)
        replies = [action for action in actions if isinstance(action, Open | Accept | Refuse)]
        assert len(replies) == isinstance(event, Start | Update | Failed)
        if replies and isinstance(replies[0], Refuse):
            assert self.state == before
            assert len(actions) == 1
        for action in actions:
            self.perform(action)
        return actions

    def perform(self, action: Action) -> None:
        match action:
            case Open(number, chosen):
                assert number == max([self.first, *self.asked]) + 1
                assert len(chosen) >= max(1, self.state.rules.min_clients)
                self.asked[number], self.folded[number] = set(chosen), set()
            case Fold(number, client):
                assert number not in self.ended
                assert client in self.asked[number]
                assert client not in self.folded[number]
                self.folded[number].add(client)
            case Ask(number, client) | Drop(number, client, _):
                assert number not in self.ended
                assert client in self.asked[number] - self.folded[number]
            case Commit(number):
                assert number not in self.ended
                assert len(self.folded[number]) >= max(1, self.state.rules.min_updates)
                self.ended[number] = "committed"
            case Abandon(number, reason):
                assert number not in self.ended
                assert reason == "reset" or len(self.folded[number]) < max(1, self.state.rules.min_updates)
                self.ended[number] = "abandoned"

    @property
    def number(self) -> int:
        return self.state.running.number if self.state.running else self.state.last

    @rule(chosen=st.lists(clients, max_size=8))
    def start(self, chosen: list[str]) -> None:
        running = self.state.running
        (reply,) = self.happen(Start(chosen))
        if running:
            assert isinstance(reply, Refuse)
            assert reply.code == "busy"
        else:
            assert isinstance(reply, Open) == (len(set(chosen)) >= max(1, self.state.rules.min_clients))

    @rule(client=clients, back=st.integers(-1, REMEMBERED + 1))
    def update(self, client: str, back: int) -> None:
        number = self.number - back
        open_now = self.state.running is not None and self.state.running.number == number
        actions = self.happen(Update(client, number))
        taken = Accept() in actions
        if (client, number) in self.accepted and back <= REMEMBERED - 1:
            assert taken, "a repeat is answered as the first was"
        elif not open_now:
            assert not taken, "nothing new counts once the round is over"
        elif client in self.asked[number]:
            assert taken, "a selected client's update counts while the round is open"
        else:
            assert not taken
        if taken:
            self.accepted.add((client, number))
            assert client in self.folded[number], "accepted means counted"

    @rule(client=clients, back=st.integers(-1, 3))
    def failed(self, client: str, back: int) -> None:
        self.happen(Failed(client, self.number - back, "busy"))

    @rule(client=clients)
    def left(self, client: str) -> None:
        self.happen(Left(client))

    @rule(client=clients)
    def joined(self, client: str) -> None:
        running = self.state.running
        actions = self.happen(Joined(client))
        if running and client in running.pending:
            assert actions == (Ask(running.number, client),)

    @rule(back=st.integers(-1, 2))
    def deadline(self, back: int) -> None:
        self.happen(Deadline(self.number - back))

    @rule()
    def reset(self) -> None:
        self.happen(Reset())

    @invariant()
    def the_round_waits_for_somebody_or_is_over(self) -> None:
        running = self.state.running
        if running:
            assert running.pending
            assert running.updated == self.folded[running.number]
            parts = (running.pending, running.updated, running.failed)
            assert sum(map(len, parts)) == len(frozenset().union(*parts))
            assert frozenset().union(*parts) <= running.selected
            assert running.number == self.state.last
        assert set(self.asked) - set(self.ended) == ({running.number} if running else set())

    @invariant()
    def memory_stays_bounded(self) -> None:
        assert len(self.state.answered) <= REMEMBERED

    def teardown(self) -> None:
        """Whatever happened: the deadline ends the round, and so do its clients, each in its own way."""
        running = getattr(self, "state", State()).running
        if running:
            assert step(self.state, Deadline(running.number))[0].running is None
            state = self.state
            for index, client in enumerate(sorted(running.pending)):
                event = (Update(client, running.number), Failed(client, running.number, "busy"), Left(client))[index % 3]
                state, _ = step(state, event)
            assert state.running is None


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=150, stateful_step_count=60)


@given(
    ways=st.lists(st.sampled_from(["update", "failed", "left"]), min_size=1, max_size=6),
    min_updates=st.integers(1, 6),
    data=st.data(),
)
def test_the_order_of_answers_decides_nothing(ways: list[str], min_updates: int, data: st.DataObject) -> None:
    names = [f"pi-{n}" for n in range(len(ways))]

    def answer(name: str, way: str) -> Event:
        answers: dict[str, Event] = {"update": Update(name, 1), "failed": Failed(name, 1, "busy"), "left": Left(name)}
        return answers[way]

    answers = [answer(name, way) for name, way in zip(names, ways, strict=True)]
    state, _ = step(State(Rules(1, min_updates)), Start(names))
    done: list[Action] = []
    for event in data.draw(st.permutations(answers)):
        state, actions = step(state, event)
        done += actions
    assert {action.client for action in done if isinstance(action, Fold)} == {
        name for name, way in zip(names, ways, strict=True) if way == "update"
    }
    assert state.running is None
    assert isinstance(done[-1], Commit) == (ways.count("update") >= min_updates)
