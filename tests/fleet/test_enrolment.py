"""What the play makes for secure sums: each client's key, and the roll of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.bramble.fleet.plugins.plugin_utils.identity import enrolment

from bramble_protocol.secure.roll import Identity, Roll
from tests.fleet.vaults import make, vault


def test_clients_keys_for_secure_sums_last_and_are_on_a_roll_that_clients_read(tmp_path: Path) -> None:
    files = vault(tmp_path)
    ca, _ = make(files)
    keys = enrolment.client_keys(files, ["attic", "cellar"])
    assert (tmp_path / "clients.yml").read_bytes().startswith(b"$ANSIBLE_VAULT")
    text = enrolment.roll(files, ca, keys)
    again = vault(tmp_path)
    assert enrolment.client_keys(again, ["cellar", "attic"]) == keys
    assert enrolment.roll(again, ca, keys) == text
    assert again.changed == [], "running it again changes nothing"
    (tmp_path / "identity.key").write_text(keys["attic"])
    roll = Roll.read(tmp_path / "roll", tmp_path / "ca.crt")
    assert set(roll.keys) == {"attic", "cellar"}
    assert Identity.read(tmp_path / "identity.key").public == roll.keys["attic"]
    more = enrolment.client_keys(again, ["attic", "roof"])
    assert more["attic"] == keys["attic"]
    assert "cellar" not in enrolment.roll(again, ca, more)
    other, _ = make(again, replace=True)
    assert enrolment.roll(again, other, more) != text, "another authority signs it anew"
    assert set(Roll.read(tmp_path / "roll", tmp_path / "ca.crt").keys) == {"attic", "roof"}


def test_a_damaged_file_of_clients_keys_is_not_made_anew_unasked(tmp_path: Path) -> None:
    (tmp_path / "clients.yml").write_text("attic: not a key")
    with pytest.raises(AnsibleActionFail, match=r"clients\.yml is damaged"):
        enrolment.client_keys(vault(tmp_path), ["attic"])


def test_a_name_as_ansible_has_it_is_written_as_any_other(tmp_path: Path) -> None:
    class Tagged(str):
        """What a variable of a play is: a text, and where it comes from."""

    enrolment.client_keys(vault(tmp_path), [Tagged("attic")])
    assert list(enrolment.client_keys(vault(tmp_path), ["attic"])) == ["attic"]
