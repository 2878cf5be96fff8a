"""How long a link waits before it tries again."""

from __future__ import annotations

from bramble_client.deliver.link import Backoff


def test_pauses_double_up_to_the_longest_and_are_spread_over_their_whole_length() -> None:
    tops: list[float] = []

    def uniform(low: float, high: float) -> float:
        assert low == 0.0
        tops.append(high)
        return high / 2

    backoff = Backoff(1.0, 30.0, uniform)
    assert [backoff.next() for _ in range(7)] == [0.5, 1, 2, 4, 8, 15, 15]
    assert tops == [1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.next() == 0.5


def test_pauses_of_a_fleet_that_lost_its_server_together_do_not_herd() -> None:
    first = [Backoff(1.0, 30.0) for _ in range(1000)]
    for _ in range(4):
        pauses = [backoff.next() for backoff in first]
    counts = [sum(index <= pause < index + 1 for pause in pauses) for index in range(8)]
    assert min(counts) > 60  # 125 expected in each of eight seconds
