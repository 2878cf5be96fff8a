"""Keys that no server can replace: the fleet's roll, and what is signed by whom."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.secure_sums import CONTEXT, Sum, changes
from bramble.quickstart.identity import certify
from bramble_protocol.errors import ProtocolError
from bramble_protocol.secure.party import SIGNATURE, Party, Whose
from bramble_protocol.secure.roll import Identity, Roll, written

NAMES = [f"pi-{number:03}" for number in range(4)]


@pytest.fixture
def identities() -> dict[str, Identity]:
    return {name: Identity(Ed25519PrivateKey.generate()) for name in NAMES}


def whose(identities: Mapping[str, Identity]) -> dict[str, Whose]:
    roll = Roll({name: identity.public for name, identity in identities.items()})
    return {name: Whose(identity, roll) for name, identity in identities.items()}


def authority(folder: Path) -> ec.EllipticCurvePrivateKey:
    folder.mkdir(exist_ok=True)
    certify(folder, "127.0.0.1", dt.datetime.now(dt.UTC))
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def test_a_roll_is_read_back_and_one_that_another_signed_or_that_was_changed_is_refused(
    tmp_path: Path, identities: dict[str, Identity]
) -> None:
    keys = {name: identity.public for name, identity in identities.items()}
    path = tmp_path / "roll"
    path.write_text(text := written(keys, authority(tmp_path / "ours")))
    assert Roll.read(path, tmp_path / "ours/ca.crt").keys == keys
    authority(tmp_path / "theirs")
    with pytest.raises(ProtocolError, match="not signed by the fleet's authority"):
        Roll.read(path, tmp_path / "theirs/ca.crt")
    path.write_text(text.replace("pi-001", "pi-009"))
    with pytest.raises(ProtocolError, match="not signed by the fleet's authority"):
        Roll.read(path, tmp_path / "ours/ca.crt")
    path.write_text("something else")
    with pytest.raises(ProtocolError, match="is no roll"):
        Roll.read(path)


def test_a_sum_of_signed_keys_opens(identities: dict[str, Identity]) -> None:
    known = whose(identities)
    secure = Sum(changes(4, 10), whose=known, roll=known["pi-000"].roll)
    secure.run({"masked": ["pi-003"]})
    assert sorted(secure.seen) == NAMES[:3]


def test_a_server_refuses_keys_that_an_unknown_key_signed_before_they_spoil_a_round(identities: dict[str, Identity]) -> None:
    known = whose(identities)
    secure = Sum(changes(4, 10), whose=known, roll=known["pi-000"].roll)
    liar = Party("pi-001", CONTEXT, whose=Whose(identities["pi-002"], known["pi-000"].roll))
    with pytest.raises(ProtocolError, match="what pi-001 says is not signed by its key on the fleet's roll, or is of another round"):
        secure.collector.take("pi-001", "keys", liar.keys())
    with pytest.raises(ProtocolError, match="stranger is not on the fleet's roll"):
        secure.collector.take("stranger", "keys", liar.keys())
    with pytest.raises(ProtocolError, match="not signed by its key on the fleet's roll, nor by any; give it --identity"):
        secure.collector.take("pi-001", "keys", Party("pi-001", CONTEXT).keys())
    with pytest.raises(ProtocolError, match="or is of another round"):
        secure.collector.take("pi-001", "keys", Party("pi-001", bytes(31) + b"1", whose=known["pi-001"]).keys())


def test_a_client_shares_nothing_with_a_client_that_the_server_made_up(identities: dict[str, Identity]) -> None:
    known = whose(identities)
    secure = Sum(changes(4, 10), whose=known)
    secure.keys()
    made_up = Party("pi-001", CONTEXT)
    with pytest.raises(ProtocolError, match="what pi-001 says is not signed by its key"):
        secure.parties["pi-000"].share({**secure.collector.keys, "pi-001": made_up.keys()})


def test_a_client_opens_nothing_where_signatures_to_the_list_are_made_up(identities: dict[str, Identity]) -> None:
    secure = Sum(changes(4, 10), whose=whose(identities))
    secure.keys()
    secure.shares()
    secure.mask()
    secure.agree()
    with pytest.raises(ProtocolError, match="what pi-000 says is not signed by its key"):
        secure.parties["pi-001"].unmask(dict.fromkeys(NAMES, bytes(SIGNATURE)))
