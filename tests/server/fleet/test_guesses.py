"""Who guesses at tokens waits, and nobody else."""

from __future__ import annotations

import pytest

from bramble_protocol.throttle import REMEMBERED
from bramble_server.fleet.guesses import BURST, PAUSE_S, Guesses, ThrottledError


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


class Door:
    """Knows one token of each client, and notes what is said."""

    def __init__(self) -> None:
        self.clock, self.said = Clock(), list[str]()
        self.guesses = Guesses(self.clock)
        self.guesses.say = lambda address, sentence: self.said.append(f"{address}: {sentence}")
        self.looked = 0

    def knock(self, address: str, token: str, name: str = "pi-1") -> bool:
        def right() -> bool:
            self.looked += 1
            return token == f"right for {name}"

        return self.guesses.look(address, token, right, name)

    def guess(self, address: str, count: int, name: str = "pi-1") -> None:
        """Guess so many times, or until it is not looked at any more."""
        for number in range(count):
            self.knock(address, f"{address} {number}", name)


@pytest.fixture
def door() -> Door:
    return Door()


def test_an_address_that_guesses_waits_and_it_is_said_once(door: Door) -> None:
    door.guess("10.0.0.1", BURST)
    for _ in range(3):
        with pytest.raises(ThrottledError, match=f"was not looked at; try again in {PAUSE_S:g} s") as refused:
            door.knock("10.0.0.1", "right for pi-1")
    assert (refused.value.seconds, door.looked, len(door.said)) == (PAUSE_S, BURST, 1)
    assert door.said[0].startswith(f"10.0.0.1: {BURST} wrong tokens came from there")
    door.clock.now += PAUSE_S
    assert door.knock("10.0.0.1", "right for pi-1")


def test_a_right_token_is_never_kept_waiting_from_elsewhere_nor_where_it_was_right_before(door: Door) -> None:
    assert door.knock("10.0.0.1", "right for pi-2", "pi-2")
    with pytest.raises(ThrottledError):
        door.guess("10.0.0.1", BURST + 1)
    assert door.knock("10.0.0.2", "right for pi-1")
    assert door.knock("10.0.0.1", "right for pi-2", "pi-2"), "a neighbour of who guesses"


def test_guesses_at_one_client_from_many_addresses_wait_and_the_client_does_not(door: Door) -> None:
    for number in range(BURST):
        door.guess(f"10.0.1.{number}", 1)
    with pytest.raises(ThrottledError):
        door.guess("10.0.2.1", 2)
    door.guess("10.0.2.2", 1)
    door.guess("10.0.2.2", 1, "pi-2")
    assert door.knock("10.0.3.1", "right for pi-1")


def test_the_same_wrong_token_again_is_no_guess(door: Door) -> None:
    assert not any(door.knock("10.0.0.1", "of before") for _ in range(9 * BURST))
    assert door.knock("10.0.0.1", "right for pi-2", "pi-2")


def test_what_was_right_and_is_no_more_is_looked_at_and_refused(door: Door) -> None:
    taken = {"right for pi-1"}
    assert door.guesses.look("10.0.0.1", "right for pi-1", lambda: "right for pi-1" in taken, "pi-1")
    taken.clear()
    assert not door.guesses.look("10.0.0.1", "right for pi-1", lambda: "right for pi-1" in taken, "pi-1")


def test_what_is_remembered_has_an_end(door: Door) -> None:
    for number in range(REMEMBERED + 9):
        door.guesses.look(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "wrong", lambda: False)
    assert len(door.guesses._wrong._known) == REMEMBERED
