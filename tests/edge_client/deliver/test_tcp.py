"""What a connection carried, as the kernel of this machine counts it."""

from __future__ import annotations

import socket

from bramble_client.deliver.tcp import carried


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        one = socket.create_connection(listening.getsockname())
        return one, listening.accept()[0]


def send(one: socket.socket, other: socket.socket, count: int) -> None:
    one.sendall(b"x" * count)
    left = count
    while left:
        left -= len(other.recv(1 << 16))


def test_both_ways_count_and_heads_of_packets_too() -> None:
    one, other = pair()
    with one, other:
        send(one, other, 200_000)
        sent = carried(one)
        assert 200_000 < sent < 220_000
        send(other, one, 100_000)
        assert 100_000 < carried(one) - sent < 110_000


def test_where_the_kernel_does_not_say_nothing_is_counted() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert carried(one) == 0
    assert carried(one) == 0
