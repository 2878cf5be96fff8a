"""Secure sums: right to the encoding's step whoever drops out, closed where too few are left, and nothing to be seen of a single client."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.secure_sums import METRICS, PHASES, Sum, changes
from bramble_protocol.errors import EncodingError, ProtocolError
from bramble_protocol.secure.fixed import Encoding, metrics_of
from bramble_protocol.secure.neighbours import degree, ring, threshold
from tests.examples import examples


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None)
@given(st.integers(2, 9), st.integers(1, 40), st.floats(1e-3, 20.0), st.data())
def test_a_sum_is_right_to_the_step_whoever_drops_out_or_stays_closed(clients: int, size: int, scale: float, data: st.DataObject) -> None:
    secure = Sum(changes(clients, size, clients, scale), reach=100 * scale)
    drops = {phase: data.draw(st.sets(st.sampled_from(sorted(secure.changes)), max_size=2)) for phase in PHASES}
    try:
        opened = secure.run(drops)
    except ProtocolError:
        assert len(secure.live) < max(2, threshold(clients)), "enough were left"
        return
    names = sorted(secure.seen)
    assert np.abs(opened.change - secure.mean(names)).max() <= secure.accuracy
    assert opened.totals["samples"] == sum(secure.samples[name] for name in names)
    assert metrics_of(opened.totals) == pytest.approx({**METRICS, "test_samples": 30.0 * len(names)}, rel=1e-6)
    assert opened.liars == {}


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
def test_of_a_hundred_clients_that_are_not_all_neighbours_thirty_drop_in_one_phase_and_the_rest_is_summed(phase: str) -> None:
    secure = Sum(changes(100, 50))
    opened = secure.run({phase: sorted(secure.changes)[::3][:30]})
    assert len(secure.seen) == (70 if phase in ("shares", "masked") else 100)
    assert np.abs(opened.change - secure.mean(sorted(secure.seen))).max() <= secure.accuracy


def test_what_a_server_sees_of_one_client_is_uniform_and_never_the_same_twice() -> None:
    same = {name: np.full(20_000, 0.25, np.float32) for name in ("pi-1", "pi-2", "pi-3")}
    first, second = Sum(same), Sum(same)
    first.run()
    second.run()
    for words in first.seen.values():
        for bits in (words & 0xFF, words >> 24):
            expected = len(words) / 256
            chi2 = float(((np.bincount(bits, minlength=256) - expected) ** 2 / expected).sum())
            assert abs(chi2 - 255) < 6 * np.sqrt(2 * 255), "of 255 degrees of freedom"
    equal = sum(int((first.seen[name] == second.seen[name]).sum()) for name in same)
    assert equal <= 3, "of 60,000 words that are 2^-32 likely to be the same each"


def test_a_sum_opens_with_one_liar_among_those_who_hold_shares_and_names_it() -> None:
    secure = Sum(changes(7, 20))
    secure.keys()
    secure.shares()
    secure.mask(("pi-006",))
    secure.agree()
    told = secure.collector.told("open", secure.live)
    for name in secure.live:
        names, data = told[name]
        part = secure.parties[name].unmask({client: data[64 * at : 64 * at + 64] for at, client in enumerate(names)})
        secure.collector.take(name, "open", bytes(len(part)) if name == "pi-002" else part)
    opened = secure.collector.open()
    assert np.abs(opened.change - secure.mean(sorted(secure.seen))).max() <= secure.accuracy
    assert list(opened.liars) == ["pi-002"]
    assert "does not verify" in opened.liars["pi-002"]


def test_a_change_beyond_the_reach_is_shortened_as_a_whole_and_no_sum_overflows() -> None:
    long = {name: np.array([64.0, -32.0], np.float32) for name in ("pi-1", "pi-2", "pi-3")}
    secure = Sum(long, reach=8.0)
    secure.samples = dict.fromkeys(long, 1000)
    assert secure.run().change == pytest.approx([8.0, -4.0], abs=secure.accuracy)


def test_what_clients_count_is_added_up_beside_their_changes() -> None:
    encoding = Encoding(3, 8.0, 1000, (("confusion", 2), ("target.x", 3)))
    counted: list[dict[str, tuple[float, ...]] | None] = [
        {"confusion": (1.0, 2.0)},
        {"confusion": (3.0, 0.0), "target.x": (7.0, 0.5, 0.25)},
        None,
    ]
    total = np.sum([encoding.encode(np.ones(4, np.float32), 100, METRICS, each) for each in counted], axis=0, dtype=np.uint32)
    assert isinstance(total, np.ndarray)
    assert len(total) == encoding.words(4)
    change, totals, counts = encoding.decode(total)
    assert change == pytest.approx([1.0] * 4, abs=1e-4)
    assert totals["samples"] == 300
    assert counts == {"confusion": (4.0, 2.0), "target.x": (7.0, 0.5, 0.25)}
    assert encoding.decode(encoding.encode(np.ones(4, np.float32), 100, {}))[2] == {}
    with pytest.raises(EncodingError, match="confusion has 1 numbers, and 2 were asked for"):
        encoding.encode(np.ones(4, np.float32), 100, METRICS, {"confusion": (1.0,)})


@pytest.mark.parametrize("value", [1e18, float("nan")])
def test_what_no_sum_can_hold_is_refused_by_name(value: float) -> None:
    encoding = Encoding(10, 8.0, 1000)
    metrics = {"loss_before": value, "loss_after": 1.0}
    with pytest.raises(EncodingError, match="loss_before"):
        encoding.encode(np.zeros(3, np.float32), 100, metrics)
    with pytest.raises(EncodingError, match="not finite"):
        encoding.encode(np.full(3, np.inf, np.float32), 100, {})


@settings(max_examples=examples(20), deadline=None)
@given(st.integers(2, 150))
def test_everybody_has_neighbours_enough_and_they_are_mutual(clients: int) -> None:
    graph = ring({f"pi-{number}": bytes([number % 256, number // 256]) for number in range(clients)})
    assert {len(set(theirs)) for theirs in graph.values()} == {degree(clients)}
    assert all(client in graph[other] and other != client for client, theirs in graph.items() for other in theirs)


def test_who_is_whose_neighbour_follows_from_the_keys() -> None:
    keys = {f"pi-{number}": bytes([number]) for number in range(60)}
    assert ring(keys) == ring(dict(reversed(keys.items())))
    assert ring(keys) != ring({**keys, "pi-1": b"other"})


def test_keys_of_the_round_before_are_refused_and_so_are_another_clients() -> None:
    first = Sum(changes(3, 5))
    first.keys()
    again = Sum(changes(3, 5))
    again.collector._former = first.collector.keys
    take = partial(again.collector.take, "pi-000", "keys")
    with pytest.raises(ProtocolError, match="used in a round before"):
        take(first.collector.keys["pi-000"])
    take(again.parties["pi-000"].keys())
    with pytest.raises(ProtocolError, match="comes twice"):
        again.collector.take("pi-001", "keys", again.collector.keys["pi-000"])
