"""The table of connections and the shares of the loop, without a socket."""

from __future__ import annotations

from bramble_protocol.addresses import owner
from bramble_server.transport.connections import REMEMBERED, Connections
from bramble_server.transport.shares import CLIENT, STRANGER, TURN, Bucket, Rate, Share
from tests.server.office import Clock


class Peer:
    """Somebody who connects and may be hung up on."""

    def __init__(self, table: Connections, address: str) -> None:
        self.gone = False
        self.entry = table.enter(address, self.hang_up)

    def hang_up(self) -> None:
        self.gone = True


def table(most: int = 100, per_address: int = 40) -> Connections:
    return Connections(most, per_address, lambda seconds: None)


def test_the_quietest_stranger_of_an_address_makes_room_and_nobody_elses() -> None:
    connections = table(per_address=40)  # a quarter of them strangers
    other = Peer(connections, "192.0.2.1")
    first, *more = [Peer(connections, "192.0.2.2") for _ in range(10)]
    assert first.entry
    first.entry.stirs()
    late = Peer(connections, "192.0.2.2")
    assert late.entry
    assert [peer.gone for peer in more] == [True] + [False] * 8
    assert not first.gone
    assert not other.gone


def test_a_client_that_shook_hands_makes_room_for_nobody() -> None:
    connections = table(most=3, per_address=3)
    clients = [Peer(connections, "192.0.2.1") for _ in range(3)]
    for peer in clients:
        assert peer.entry
        peer.entry.admit()
    assert Peer(connections, "192.0.2.1").entry is None
    assert Peer(connections, "192.0.2.2").entry is None
    assert not any(peer.gone for peer in clients)
    assert clients[0].entry
    clients[0].entry.leave()
    assert Peer(connections, "192.0.2.2").entry


def test_in_all_there_are_no_more_than_allowed() -> None:
    connections = table(most=50, per_address=40)
    peers = [Peer(connections, f"192.0.2.{number}") for number in range(200)]
    assert sum(peer.gone for peer in peers) == 150
    for peer in peers:
        assert peer.entry
        peer.entry.leave()
    assert len(connections) == 0


def test_addresses_without_end_take_no_memory_without_end() -> None:
    connections = table()
    for number in range(2 * REMEMBERED):
        entry = Peer(connections, f"10.0.{number // 256}.{number % 256}").entry
        assert entry
        entry.leave()
    assert len(connections._idle) == REMEMBERED
    assert not connections._addresses


def test_to_come_back_is_not_to_begin_anew() -> None:
    slept: list[float] = []
    connections = Connections(100, 100, slept.append)
    for amount in (STRANGER.address.burst + 300, 1):
        entry = connections.enter("192.0.2.1", lambda: None)
        assert entry
        entry.take(amount)
        entry.leave()
    assert slept[-1] > 0.5, "its address has taken too much, whichever connection"
    other = connections.enter("192.0.2.2", lambda: None)
    assert other
    slept.clear()
    other.take()
    assert slept == [], "and nobody else's"


def test_what_counts_as_one_address() -> None:
    assert owner("192.0.2.7") == owner("::ffff:192.0.2.7") == "192.0.2.7"
    assert owner("2001:db8::1") == owner("2001:db8::ffff:1%eth0") != owner("2001:db8:0:1::1")
    assert owner("not an address") == "not an address"


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = Bucket(Rate(10, 5))
    assert [bucket.take(1, 0.0) for _ in range(5)] == [0.0] * 5
    assert [round(bucket.take(1, 0.0), 3) for _ in range(3)] == [0.1, 0.2, 0.3]
    assert round(bucket.take(1, 0.4), 3) == 0.0
    assert [bucket.take(1, 100.0) for _ in range(5)] == [0.0] * 5, "after a rest"


def test_everybody_else_gets_a_turn_every_few_shares() -> None:
    slept: list[float] = []
    share = Share(Bucket(CLIENT.connection), Bucket(CLIENT.address), slept.append, Clock())
    for _ in range(10 * TURN):
        share.take()
    assert slept == [0.0] * 10
    for _ in range(TURN):
        share.take(0)
    assert slept == [0.0] * 11, "parts of a long message count for the turns alone"


def test_a_fleet_behind_one_address_answers_a_round_at_once() -> None:
    slept: list[float] = []
    connections = Connections(2000, 2000, slept.append)
    for _ in range(1000):
        entry = connections.enter("192.0.2.1", lambda: None)
        assert entry
        entry.take(), entry.take(), entry.take()  # request, handshake and graph, all in one moment
        entry.admit()
    assert max(slept, default=0.0) < 3
    slept.clear()
    for address in list(connections._addresses.values()):
        assert address.open == 1000
    home = next(iter(connections._addresses.values()))
    assert max(home.after.take(4, 1e9) for _ in range(1000)) == 0, "an update, with its JSON, from each"
