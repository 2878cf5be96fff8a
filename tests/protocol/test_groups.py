"""Groups of clients: how people write them, and how they travel."""

from __future__ import annotations

from typing import Any

import pytest

from bramble_protocol import groups
from bramble_protocol.errors import ProtocolError
from bramble_protocol.messages import Handshake


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("building=north", {"building": "north"}),
        ("building = north , floor=2", {"building": "north", "floor": "2"}),
        (["building=north", "floor=2"], {"building": "north", "floor": "2"}),
        ({"building": "north"}, {"building": "north"}),
        ("room=A=1", {"room": "A=1"}),
        ({}, {}),
    ],
)
def test_what_a_person_writes_is_read(given: Any, read: dict[str, str]) -> None:
    assert groups.parse(given) == read


@pytest.mark.parametrize(
    "given", ["north", "building=", "Building=north", "=north", "a=b,a=c", 7, {"building": 7}, {"b": " "}, {"b": "x" * 64}, {"b": "\x1b"}]
)
def test_what_is_no_group_is_a_sentence(given: Any) -> None:
    with pytest.raises(ValueError, match=r"key=name, such as building=north|is given twice"):
        groups.parse(given)


def test_they_are_part_of_a_handshake_of_version_2_alone() -> None:
    hello = Handshake(2, "pi-1", groups={"building": "north"})
    assert Handshake.from_wire(hello.to_wire()) == hello
    assert "groups" not in Handshake(1, "pi-1", groups={"building": "north"}).to_wire()
    with pytest.raises(ProtocolError, match="unknown field groups"):
        Handshake.from_wire({"protocol": 1, "client_id": "pi-1", "groups": {}})


@pytest.mark.parametrize("wrong", [[], {"building": 1}, {"Building": "x"}, {f"k{i}": "x" for i in range(17)}, {"b": ""}, None])
def test_a_peer_that_sends_something_else_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(ProtocolError, match="groups"):
        Handshake.from_wire({"protocol": 2, "client_id": "pi-1", "groups": wrong})
