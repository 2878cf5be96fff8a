"""What a client refuses in a secure round, whatever its server says."""

from __future__ import annotations

import pytest

from bench.secure_sums import CONTEXT, Sum, changes
from bramble_protocol.errors import ProtocolError
from bramble_protocol.secure.collector import split
from bramble_protocol.secure.party import KEYS, SIGNATURE, Party


@pytest.fixture
def secure() -> Sum:
    """Five clients that gave their keys."""
    secure = Sum(changes(5, 10))
    secure.keys()
    return secure


def test_it_opens_nothing_twice(secure: Sum) -> None:
    secure.shares()
    secure.mask()
    secure.agree()
    secure.unmask()
    party = secure.parties["pi-000"]
    with pytest.raises(ProtocolError, match="opened its part of this round before"):
        party.unmask(dict.fromkeys(secure.live, bytes(SIGNATURE)))
    with pytest.raises(ProtocolError, match="agreed to a list of this round before"):
        party.agree(secure.live)
    with pytest.raises(ProtocolError, match="masked its words of this round before"):
        party.mask(secure.seen["pi-000"])


def test_it_opens_no_sum_of_fewer_clients_than_its_owner_wants(secure: Sum) -> None:
    party = secure.parties["pi-000"]
    party.least = 4
    secure.shares()
    secure.mask(("pi-003", "pi-004"))
    with pytest.raises(ProtocolError, match="3 clients are in it, and this one wants 4"):
        party.agree(secure.live)
    with pytest.raises(ProtocolError, match="agreed to no list"):
        party.unmask(dict.fromkeys(secure.live, bytes(SIGNATURE)))


def test_it_gives_no_keys_to_fewer_than_its_owner_wants() -> None:
    party = Party("pi-000", CONTEXT, least=3)
    with pytest.raises(ProtocolError, match="1 clients would be in it, and this one wants 3"):
        party.share({"pi-000": party.keys()})


def test_it_agrees_to_no_list_of_strangers_or_without_itself(secure: Sum) -> None:
    secure.shares()
    secure.mask()
    for names in ([*secure.live, "stranger"], secure.live[1:], [*secure.live, "pi-001"]):
        with pytest.raises(ProtocolError, match="names others than those whose keys came, or not this client"):
            secure.parties["pi-000"].agree(names)


def test_it_opens_nothing_when_too_few_agreed(secure: Sum) -> None:
    secure.shares()
    secure.mask()
    secure.agree()
    with pytest.raises(ProtocolError, match="2 of this client's 5 holders of shares agreed"):
        secure.parties["pi-000"].unmask(dict.fromkeys(["pi-000", "pi-001"], bytes(SIGNATURE)))


def test_a_changed_share_or_one_of_another_round_does_not_verify(secure: Sum) -> None:
    secure.shares()
    names, data = secure.collector.told("masked", secure.live)["pi-000"]
    shares = split(names, data)
    shares["pi-001"] = bytes([shares["pi-001"][0] ^ 1]) + shares["pi-001"][1:]
    with pytest.raises(ProtocolError, match="the share of pi-001 does not verify"):
        secure.parties["pi-000"].take(shares)


def test_it_shares_nothing_under_keys_that_are_not_its_own_or_come_twice(secure: Sum) -> None:
    keys = dict(secure.collector.keys)
    with pytest.raises(ProtocolError, match="not those that it sent"):
        secure.parties["pi-000"].share({**keys, "pi-000": bytes(KEYS + SIGNATURE)})
    with pytest.raises(ProtocolError, match="two clients have the same keys"):
        secure.parties["pi-000"].share({**keys, "pi-001": keys["pi-000"]})
