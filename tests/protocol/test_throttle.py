"""How often somebody may try."""

from __future__ import annotations

from bramble_protocol.addresses import owner
from bramble_protocol.throttle import REMEMBERED, Throttle


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


def test_who_tried_too_often_may_try_ever_more_slowly_and_nobody_else() -> None:
    clock = Clock()
    throttle = Throttle(5, 30.0, clock)
    assert [throttle.take("a") for _ in range(6)] == [0.0] * 5 + [30.0]
    assert throttle.take("b") == 0
    clock.now += 30
    assert throttle.take("a") == 0
    assert throttle.take("a") > 0
    throttle.forgive("a")
    assert throttle.take("a") == 0, "what went well does not count"


def test_a_look_is_no_try() -> None:
    throttle = Throttle(1, 30.0, Clock())
    assert [throttle.wait("a"), throttle.debt("a"), throttle.take("a"), throttle.wait("a"), throttle.debt("a")] == [0, 0, 0, 30, 1]


def test_who_tried_longest_ago_is_forgotten_when_there_are_too_many() -> None:
    throttle = Throttle(1, 30.0, Clock())
    for number in range(REMEMBERED + 1):
        throttle.take(str(number))
    assert (throttle.wait("0"), throttle.wait("1")) == (0.0, 30.0)


def test_who_has_a_whole_network_of_addresses_counts_as_one() -> None:
    assert len({owner(f"2001:db8::{place}") for place in range(9)}) == 1
    assert owner("::ffff:10.0.0.1") == owner("10.0.0.1")
