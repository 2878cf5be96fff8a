"""Identities on the controller: made once, kept under vault, renewed in time. No host is needed for these."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.bramble.fleet.plugins.plugin_utils.identity import (
    authority,
    certificates,
    fleet,
    graph_key,
    server_certificate,
    tokens,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bramble_protocol import signatures
from tests.fleet.vaults import NAMES, NOW, make, vault


def shown(ca: Any, server: Any, ours: dict[str, str], signer: bytes = b"") -> Any:
    """What the server's host shows of a fleet."""
    lines = [f'{name} = "sha256:{hashlib.sha256(token.encode()).hexdigest()}"' for name, token in ours.items()]
    files = {
        "ca.crt": ca.trusted, "server.crt": server[1].public_bytes(serialization.Encoding.PEM), "signer.pub": signer,
        "tokens.toml": "\n".join(["[clients]", *lines]).encode(),
    }  # fmt: skip
    return fleet.look({name: base64.b64encode(content).decode() for name, content in files.items()})


def test_private_files_are_under_vault_and_public_ones_are_not(tmp_path: Path) -> None:
    make(files := vault(tmp_path))
    tokens.tokens(files, ["pi-1"], False)
    assert {path.name for path in tmp_path.iterdir()} == {"ca.key", "ca.crt", "server.key", "server.crt", "tokens.yml"}
    for name in ("ca.key", "server.key", "tokens.yml"):
        assert (tmp_path / name).read_text().startswith("$ANSIBLE_VAULT")
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert (tmp_path / "ca.crt").read_text().startswith("-----BEGIN CERTIFICATE")


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    (ca, server) = make(vault(tmp_path))
    ours = tokens.tokens(vault(tmp_path), ["pi-1", "pi-2"], False)
    again = vault(tmp_path)
    assert make(again)[0].certificate == ca.certificate
    assert make(again)[1][1] == server[1]
    assert tokens.tokens(again, ["pi-2", "pi-1"], False) == ours
    assert again.changed == []


def test_the_certificate_is_the_authoritys_and_names_the_server(tmp_path: Path) -> None:
    ca, server = make(vault(tmp_path))
    server[1].verify_directly_issued_by(ca.certificate)
    assert certificates.general_names(server[1]) == set(map(certificates.general_name, NAMES))
    assert server[1].not_valid_before_utc < NOW, "a Pi's clock may be behind"
    assert server[1].not_valid_after_utc - NOW <= dt.timedelta(days=825), "which browsers take from a private authority"


@pytest.mark.parametrize("gap", [40, 200, 365])
def test_a_fleet_that_is_deployed_to_once_a_year_never_runs_out_of_time(tmp_path: Path, gap: int) -> None:
    for day in range(0, 12 * 365, gap):
        ca, (_, shown) = make(vault(tmp_path), now=NOW + dt.timedelta(days=day))
        next_run = NOW + dt.timedelta(days=day + gap)
        assert certificates.valid(shown, next_run)
        assert certificates.valid(ca.certificate, next_run)
        assert shown.not_valid_after_utc <= ca.certificate.not_valid_after_utc, "no certificate outlives its authority's"


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ({"now": NOW + dt.timedelta(days=420)}, []),
        ({"now": NOW + dt.timedelta(days=430)}, ["server.key", "server.crt"]),
        ({"now": NOW + dt.timedelta(days=900)}, ["server.key", "server.crt"]),
        ({"now": NOW + dt.timedelta(days=3300)}, ["ca.crt", "server.key", "server.crt"]),
        ({"now": NOW + dt.timedelta(days=4000)}, ["ca.crt", "server.key", "server.crt"]),
        ({"now": NOW - dt.timedelta(days=100)}, ["ca.crt", "server.key", "server.crt"]),
        ({"names": [*NAMES, "hub.local"]}, ["server.key", "server.crt"]),
        ({"names": [*reversed(NAMES), "HUB", "localhost."]}, []),
        ({"certificate": True}, ["server.key", "server.crt"]),
        ({"ca": True}, ["ca.crt"]),
    ],
    ids=[
        "still good",
        "ends within the year",
        "expired",
        "the CA ends",
        "the CA expired",
        "made by a clock that was ahead",
        "another name",
        "the same names",
        "asked for",
        "the CA asked for",
    ],
)
def test_what_is_made_anew_and_when(tmp_path: Path, change: dict[str, Any], made: list[str]) -> None:
    make(vault(tmp_path))
    files = vault(tmp_path)
    make(files, **change)
    assert files.changed == made


def test_a_renewed_authority_vouches_for_what_the_old_one_signed_and_the_other_way_round(tmp_path: Path) -> None:
    old, old_server = make(vault(tmp_path))
    new, new_server = make(vault(tmp_path), ca=True, certificate=True)
    assert new.certificate != old.certificate
    assert new.former == ()
    old_server[1].verify_directly_issued_by(new.certificate)
    new_server[1].verify_directly_issued_by(old.certificate)


def test_the_certificate_of_another_authority_is_replaced(tmp_path: Path) -> None:
    make(vault(tmp_path))
    for name in ("ca.key", "ca.crt"):
        (tmp_path / name).unlink()
    files = vault(tmp_path)
    ca, server = make(files)
    server[1].verify_directly_issued_by(ca.certificate)
    assert "server.crt" in files.changed


def test_another_authority_takes_over_and_the_one_before_is_trusted_until_the_end(tmp_path: Path) -> None:
    old, old_server = make(vault(tmp_path))
    new, new_server = make(vault(tmp_path), replace=True)
    assert new.former == (old.certificate,)
    assert (tmp_path / "ca.crt").read_bytes() == new.trusted, "a run that is cut leaves what the next goes on from"
    assert server_certificate.stays(old_server[1], new, NAMES, NOW), "clients that were not given the new authority yet still trust it"
    assert not server_certificate.stays(new_server[1], new, NAMES, NOW)
    assert not server_certificate.stays(old_server[1], new, [*NAMES, "hub.local"], NOW), "it would not do, so nothing is lost"
    assert not server_certificate.stays(old_server[1], new, NAMES, NOW + dt.timedelta(days=830)), "nor when it has expired"
    assert not server_certificate.stays(None, new, NAMES, NOW)
    again = vault(tmp_path)
    assert make(again, replace=True)[0].certificate == new.certificate, "the same command again goes on with the change"
    assert again.changed == []
    assert authority.alone(again, new).former == ()
    assert make(vault(tmp_path))[0].trusted == (tmp_path / "ca.crt").read_bytes() == authority.Authority(new.key, new.certificate).trusted


@pytest.mark.parametrize("lost", [["ca.crt"], ["server.crt"], ["server.key"]])
def test_a_run_that_was_cut_between_a_key_and_its_certificate_heals(tmp_path: Path, lost: list[str]) -> None:
    old, _ = make(vault(tmp_path))
    before = {name: (tmp_path / name).read_bytes() for name in lost}
    make(vault(tmp_path), replace=True)
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    ca, (key, certificate) = make(vault(tmp_path))
    assert certificates.belongs(certificate, key)
    certificate.verify_directly_issued_by(ca.certificate)
    assert ca.former == (old.certificate,)


def test_tokens_of_before_are_good_beside_todays(tmp_path: Path) -> None:
    ca, server = make(vault(tmp_path))
    old = tokens.tokens(vault(tmp_path), ["pi-1", "pi-2"], False)
    found = shown(ca, server, old)
    assert tokens.former_tokens(found.tokens, old) == {}
    new = tokens.tokens(vault(tmp_path), ["pi-1"], True)
    assert tokens.former_tokens(found.tokens, new) == {"pi-1": found.tokens["pi-1"]}, "and of a client that was taken out, none"
    assert tokens.hashes(b'[http]\nme = { hash = "a", scopes = [] }', b'[http]\nme = ["b"]', b"torn = [") == {"http:me": ["a", "b"]}


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ([], ""),
        (["ca.crt"], ""),
        (["server.key", "server.crt"], ""),
        (["ca.key", "ca.crt"], "has no ca.key"),
        (["ca.key"], "has no ca.key"),
        (["tokens.yml"], "has no tokens.yml"),
        (["graphs.key"], "has no graphs.key"),
        (["ca.key", "ca.crt", "server.key", "server.crt", "tokens.yml", "graphs.key"], "has no ca.key and no tokens.yml and no graphs.key"),
    ],
)
def test_what_the_fleet_has_and_this_controller_lacks_is_not_made_anew_unasked(tmp_path: Path, lost: list[str], said: str) -> None:
    ca, server = make(vault(tmp_path))
    ours, signer = tokens.tokens(vault(tmp_path), ["pi-1"], False), graph_key.graph_key(vault(tmp_path))
    found = shown(ca, server, ours, graph_key.public_text(signer).encode())
    for name in lost:
        (tmp_path / name).unlink()
    refused = fleet.refusal(vault(tmp_path), found)
    assert refused.endswith(said) if said else refused == ""
    assert fleet.refusal(vault(tmp_path), fleet.Found()) == "", "an empty fleet is given what it needs"
    assert "graphs.key" not in fleet.refusal(vault(tmp_path), found, ["graphs"])


def test_secrets_of_another_fleet_or_of_another_day_are_not_brought_unasked(tmp_path: Path) -> None:
    ca, server = make(vault(tmp_path / "ours"))
    ours = tokens.tokens(vault(tmp_path / "ours"), ["pi-1"], False)
    make(vault(tmp_path / "other"))
    tokens.tokens(vault(tmp_path / "other"), ["pi-1"], False)
    assert "trusts another authority than the one in" in fleet.refusal(vault(tmp_path / "other"), shown(ca, server, ours))
    shutil.copytree(tmp_path / "ours", tmp_path / "copy")
    new, _ = make(vault(tmp_path / "ours"), replace=True)
    assert "trusts another authority" in fleet.refusal(vault(tmp_path / "copy"), shown(new, server, ours)), "a copy that is out of date"
    assert fleet.refusal(vault(tmp_path / "ours"), shown(ca, server, ours)) == "", "cut before any host had the new one"
    taken = authority.authority(vault(tmp_path / "other"), NOW, others=[ca.certificate])
    assert taken.former == (ca.certificate,)


def test_a_fleets_name_outlives_its_keys_and_a_controller_that_was_lost(tmp_path: Path) -> None:
    name = fleet.fleet_name(vault(tmp_path), "production", "")
    assert name.startswith("production-")
    make(vault(tmp_path), replace=True)
    assert fleet.fleet_name(vault(tmp_path), "production", "") == name
    assert fleet.fleet_name(vault(tmp_path / "new"), "elsewhere", name) == name
    assert fleet.fleet_name(vault(tmp_path / "another"), "production", "") != name


def test_a_token_is_each_clients_own_and_leaves_with_it(tmp_path: Path) -> None:
    ours = tokens.tokens(vault(tmp_path), ["pi-1", "pi-2"], False)
    assert len(set(ours.values())) == 2
    assert all(len(token) >= 43 for token in ours.values())
    assert tokens.tokens(vault(tmp_path), ["pi-1"], False) == {"pi-1": ours["pi-1"]}
    assert tokens.tokens(vault(tmp_path), ["pi-1", "pi-2"], False)["pi-2"] != ours["pi-2"], "who was revoked comes back under another"
    assert not set(tokens.tokens(vault(tmp_path), ["pi-1", "pi-2"], True).values()) & set(ours.values())


@pytest.mark.parametrize("name", ["fe80::1%eth0", "FE80:0::1", "Hub.local", "bücherei.local", "10.0.0.7", "hub_2"])
def test_a_name_that_can_be_written_in_several_ways_makes_one_certificate(tmp_path: Path, name: str) -> None:
    first, again = make(vault(tmp_path), names=[name]), make(files := vault(tmp_path), names=[name])
    assert files.changed == []
    assert again[1][1] == first[1][1]


def test_a_server_that_moves_is_found_where_it_was_until_its_certificate_is_asked_for_anew(tmp_path: Path) -> None:
    _, (_, before) = make(vault(tmp_path), names=["hub", "10.0.0.7"])
    moved = ["hub", "hub.garden.example"]
    ca, (_, after) = make(vault(tmp_path), names=moved)
    assert certificates.names_in_words(after) == ["10.0.0.7", "hub", "hub.garden.example"]
    assert make(vault(tmp_path), names=moved)[1][1] == after
    assert certificates.names_in_words(make(vault(tmp_path), names=moved, certificate=True)[1][1]) == moved
    _, elsewhere = server_certificate.server_certificate(vault(tmp_path / "lost"), ca, ["hub.local"], NOW, False, before)
    assert certificates.names_in_words(elsewhere) == ["10.0.0.7", "hub", "hub.local"], "nor does another controller forget it"


@pytest.mark.parametrize("name", ["hub..local", "https://hub", "hub:5000", "hub local", "", "*.local", "x" * 64])
def test_a_name_that_no_certificate_can_hold_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(AnsibleActionFail, match=rf"^'{re.escape(name)}' is neither a name nor an address that the server's certificate"):
        make(vault(tmp_path), names=["hub", name])


@pytest.mark.parametrize("during", [False, True], ids=["at rest", "in a change of authorities"])
def test_a_key_without_its_certificate_takes_what_the_fleet_has(tmp_path: Path, during: bool) -> None:
    ca, server = make(vault(tmp_path))
    if during:
        ca, server = make(vault(tmp_path), replace=True)
    found = shown(ca, server, {})
    (tmp_path / "ca.crt").unlink()
    assert fleet.refusal(vault(tmp_path), found) == ""
    authority.authority(vault(tmp_path), NOW, others=found.trusted)
    assert (tmp_path / "ca.crt").read_bytes() == ca.trusted, "whom hosts trust, they trust on"


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "cut at a line's end": lambda content: content[: content.rindex(b"\n", 0, -1) + 1],
    "its first line alone": lambda content: content.partition(b"\n")[0] + b"\n",
    "something else": lambda content: b"- 1\n- 2\n",
    "no names": lambda content: b"pi-1:\n",
    "no text": lambda content: b"\x80\xff: \x00",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["tokens.yml", "ca.key", "server.key", "graphs.key"])
def test_a_private_file_that_is_damaged_is_named_and_made_anew_by_nobody(tmp_path: Path, name: str, damage: str) -> None:
    def everything(files: Any) -> None:
        make(files)
        tokens.tokens(files, ["pi-1"], False)
        graph_key.graph_key(files)

    everything(vault(tmp_path))
    (tmp_path / name).write_bytes(DAMAGE[damage]((tmp_path / name).read_bytes()))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(AnsibleActionFail, match=rf"{name} (is damaged|does not open with this vault password, which opens)") as failure:
        everything(vault(tmp_path))
    assert "put it back from a copy of that folder, or, if there is none, move it away and deploy" in str(failure.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / name).unlink()
    everything(vault(tmp_path))


def test_a_key_of_another_kind_is_named(tmp_path: Path) -> None:
    make(vault(tmp_path))
    shutil.copy(tmp_path / "ca.key", tmp_path / "graphs.key")
    with pytest.raises(AnsibleActionFail, match=r"graphs.key is damaged \(it holds a key of another kind\)"):
        graph_key.graph_key(vault(tmp_path))


@pytest.mark.parametrize("entry", ["folder", "file"])
def test_what_cannot_be_read_or_written_is_said_to_be_so(tmp_path: Path, entry: str) -> None:
    folder = tmp_path / "secrets"
    if entry == "file":
        folder.write_text("not a folder")
        with pytest.raises(AnsibleActionFail, match=r"secrets/ca.key cannot be read on this controller \(Not a directory\)"):
            make(vault(folder))
    else:
        (folder / "ca.key").mkdir(parents=True)
        with pytest.raises(AnsibleActionFail, match=r"secrets/ca.key cannot be read on this controller \(Is a directory\)"):
            make(vault(folder))


def test_a_folder_that_is_read_only_serves_as_long_as_nothing_is_to_be_made(tmp_path: Path) -> None:
    make(vault(tmp_path))
    subprocess.run(["mount", "--bind", "-o", "ro", tmp_path, tmp_path], check=True)
    try:
        make(files := vault(tmp_path))
        assert files.changed == []
        with pytest.raises(AnsibleActionFail, match=r"tokens.yml cannot be written on this controller \(Read-only file system\)"):
            tokens.tokens(vault(tmp_path), ["pi-1"], False)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_wrong_password_is_said_to_be_one(tmp_path: Path) -> None:
    make(vault(tmp_path))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(AnsibleActionFail, match=r"ca.key does not open with this vault password: pass the one"):
        make(vault(tmp_path, b"wrong"))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_a_password_nothing_private_is_written(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match="kept under vault: pass a vault password"):
        make(vault(tmp_path / "new", None))
    assert not (tmp_path / "new").exists()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    files = vault(tmp_path / "new", dry=True)
    make(files)
    tokens.tokens(files, ["pi-1"], False)
    assert files.changed == ["ca.key", "ca.crt", "server.key", "server.crt", "tokens.yml"]
    assert not (tmp_path / "new").exists()


def test_the_key_that_signs_graphs_is_made_once_and_signs_as_the_command_does(tmp_path: Path) -> None:
    key = graph_key.graph_key(files := vault(tmp_path))
    assert files.changed == ["graphs.key"]
    assert (tmp_path / "graphs.key").read_text().startswith("$ANSIBLE_VAULT")
    again = graph_key.graph_key(vault(tmp_path))
    assert graph_key.public_text(again) == graph_key.public_text(key)
    graph = tmp_path / "own.tflite"
    graph.write_bytes(b"a graph")
    (raw,) = signatures.read_keys(graph_key.public_text(key), "key")
    (signed,) = signatures.read_signatures(graph_key.signature(key, graph), "signature")
    Ed25519PublicKey.from_public_bytes(raw).verify(signed, signatures.message(hashlib.sha256(b"a graph").hexdigest()))
    with pytest.raises(AnsibleActionFail, match=r"the graph .*missing cannot be read on the controller"):
        graph_key.signature(key, tmp_path / "missing")
