"""Identities on the controller: made once, kept under vault, renewed in time. No host is needed for these."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.constants import DEFAULT_VAULT_IDENTITY
from ansible.errors import AnsibleActionFail
from ansible.parsing.vault import VaultLib, VaultSecret
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol import signatures
from tests.plugins import PLUGINS, load

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
NAMES = ["hub", "192.168.1.10", "localhost"]


identity, variables = load("bramble_identity", "action/bramble_identity.py"), load("bramble_variables", "action/bramble_variables.py")


def vault(folder: Path, password: bytes | None = b"open sesame", dry: bool = False) -> Any:
    secrets = [] if password is None else [(DEFAULT_VAULT_IDENTITY, VaultSecret(password))]
    return identity.Vault(folder, VaultLib(secrets), dry)


def make(
    files: Any, names: list[str] = NAMES, now: dt.datetime = NOW, ca: bool = False, certificate: bool = False, replace: bool = False
) -> tuple[Any, Any]:
    authority = identity.authority(files, now, ca, replace)
    return authority, identity.server_certificate(files, authority, names, now, certificate)


def shown(authority: Any, server: Any, tokens: dict[str, str], signer: bytes = b"") -> Any:
    """What the server's host shows of a fleet."""
    lines = [f'{name} = "sha256:{hashlib.sha256(token.encode()).hexdigest()}"' for name, token in tokens.items()]
    files = {
        "ca.crt": authority.trusted, "server.crt": server[1].public_bytes(serialization.Encoding.PEM), "signer.pub": signer,
        "tokens.toml": "\n".join(["[clients]", *lines]).encode(),
    }  # fmt: skip
    return identity._found({name: base64.b64encode(content).decode() for name, content in files.items()})


def test_private_files_are_under_vault_and_public_ones_are_not(tmp_path: Path) -> None:
    make(files := vault(tmp_path))
    identity.tokens(files, ["pi-1"], False)
    assert {path.name for path in tmp_path.iterdir()} == {"ca.key", "ca.crt", "server.key", "server.crt", "tokens.yml"}
    for name in ("ca.key", "server.key", "tokens.yml"):
        assert (tmp_path / name).read_text().startswith("$ANSIBLE_VAULT")
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert (tmp_path / "ca.crt").read_text().startswith("-----BEGIN CERTIFICATE")


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    (ca, server) = make(vault(tmp_path))
    tokens = identity.tokens(vault(tmp_path), ["pi-1", "pi-2"], False)
    again = vault(tmp_path)
    assert make(again)[0].certificate == ca.certificate
    assert make(again)[1][1] == server[1]
    assert identity.tokens(again, ["pi-2", "pi-1"], False) == tokens
    assert again.changed == []


def test_the_certificate_is_the_authoritys_and_names_the_server(tmp_path: Path) -> None:
    authority, server = make(vault(tmp_path))
    server[1].verify_directly_issued_by(authority.certificate)
    assert identity._names(server[1]) == sorted(NAMES)
    assert server[1].not_valid_before_utc < NOW, "a Pi's clock may be behind"
    assert server[1].not_valid_after_utc - NOW <= dt.timedelta(days=398)


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ({"now": NOW + dt.timedelta(days=360)}, []),
        ({"now": NOW + dt.timedelta(days=370)}, ["server.key", "server.crt"]),
        ({"now": NOW + dt.timedelta(days=500)}, ["server.key", "server.crt"]),
        ({"now": NOW + dt.timedelta(days=3640)}, ["ca.crt", "server.key", "server.crt"]),
        ({"names": [*NAMES, "hub.local"]}, ["server.key", "server.crt"]),
        ({"certificate": True}, ["server.key", "server.crt"]),
        ({"ca": True}, ["ca.crt"]),
    ],
    ids=["still good", "ends within 30 days", "expired", "the CA ends", "another name", "asked for", "the CA asked for"],
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
    authority, server = make(files)
    server[1].verify_directly_issued_by(authority.certificate)
    assert "server.crt" in files.changed


def test_another_authority_takes_over_and_the_one_before_is_trusted_until_the_end(tmp_path: Path) -> None:
    old, old_server = make(vault(tmp_path))
    new, new_server = make(vault(tmp_path), replace=True)
    assert new.former == (old.certificate,)
    assert (tmp_path / "ca.crt").read_bytes() == new.trusted, "a run that is cut leaves what the next goes on from"
    assert identity.stays(old_server[1], new, NAMES, NOW), "clients that were not given the new authority yet still trust it"
    assert not identity.stays(new_server[1], new, NAMES, NOW)
    assert not identity.stays(old_server[1], new, [*NAMES, "hub.local"], NOW), "it would not do, so nothing is lost"
    assert not identity.stays(old_server[1], new, NAMES, NOW + dt.timedelta(days=400)), "nor when it has expired"
    assert not identity.stays(None, new, NAMES, NOW)
    again = vault(tmp_path)
    assert make(again, replace=True)[0].certificate == new.certificate, "the same command again goes on with the change"
    assert again.changed == []
    assert identity.alone(again, new).former == ()
    assert make(vault(tmp_path))[0].trusted == (tmp_path / "ca.crt").read_bytes() == identity.Authority(new.key, new.certificate).trusted


@pytest.mark.parametrize("lost", [["ca.crt"], ["server.crt"], ["server.key"]])
def test_a_run_that_was_cut_between_a_key_and_its_certificate_heals(tmp_path: Path, lost: list[str]) -> None:
    old, _ = make(vault(tmp_path))
    before = {name: (tmp_path / name).read_bytes() for name in lost}
    make(vault(tmp_path), replace=True)
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    authority, (key, certificate) = make(vault(tmp_path))
    assert identity._of(certificate, key)
    certificate.verify_directly_issued_by(authority.certificate)
    assert authority.former == (old.certificate,)


def test_tokens_of_before_are_good_beside_todays(tmp_path: Path) -> None:
    ca, server = make(vault(tmp_path))
    old = identity.tokens(vault(tmp_path), ["pi-1", "pi-2"], False)
    found = shown(ca, server, old)
    assert identity.former_tokens(found.tokens, old) == {}
    new = identity.tokens(vault(tmp_path), ["pi-1"], True)
    assert identity.former_tokens(found.tokens, new) == {"pi-1": found.tokens["pi-1"]}, "and of a client that was taken out, none"
    assert identity._hashes(b'[http]\nme = { hash = "a", scopes = [] }', b'[http]\nme = ["b"]', b"torn = [") == {"http:me": ["a", "b"]}


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
    tokens, signer = identity.tokens(vault(tmp_path), ["pi-1"], False), identity.graph_key(vault(tmp_path))
    found = shown(ca, server, tokens, identity.public_text(signer).encode())
    for name in lost:
        (tmp_path / name).unlink()
    refused = identity.refusal(vault(tmp_path), found)
    assert refused.endswith(said) if said else refused == ""
    assert identity.refusal(vault(tmp_path), identity.Found()) == "", "an empty fleet is given what it needs"
    assert "graphs.key" not in identity.refusal(vault(tmp_path), found, ["graphs"])


def test_secrets_of_another_fleet_or_of_another_day_are_not_brought_unasked(tmp_path: Path) -> None:
    ca, server = make(vault(tmp_path / "ours"))
    tokens = identity.tokens(vault(tmp_path / "ours"), ["pi-1"], False)
    make(vault(tmp_path / "other"))
    identity.tokens(vault(tmp_path / "other"), ["pi-1"], False)
    assert "trusts another authority than the one in" in identity.refusal(vault(tmp_path / "other"), shown(ca, server, tokens))
    shutil.copytree(tmp_path / "ours", tmp_path / "copy")
    new, _ = make(vault(tmp_path / "ours"), replace=True)
    assert "trusts another authority" in identity.refusal(vault(tmp_path / "copy"), shown(new, server, tokens)), (
        "a copy that is out of date"
    )
    assert identity.refusal(vault(tmp_path / "ours"), shown(ca, server, tokens)) == "", "cut before any host had the new one"
    taken = identity.authority(vault(tmp_path / "other"), NOW, others=[ca.certificate])
    assert taken.former == (ca.certificate,)


def test_a_fleets_name_outlives_its_keys_and_a_controller_that_was_lost(tmp_path: Path) -> None:
    name = identity.fleet_name(vault(tmp_path), "production", "")
    assert name.startswith("production-")
    make(vault(tmp_path), replace=True)
    assert identity.fleet_name(vault(tmp_path), "production", "") == name
    assert identity.fleet_name(vault(tmp_path / "new"), "elsewhere", name) == name
    assert identity.fleet_name(vault(tmp_path / "another"), "production", "") != name


def test_a_token_is_each_clients_own_and_leaves_with_it(tmp_path: Path) -> None:
    tokens = identity.tokens(vault(tmp_path), ["pi-1", "pi-2"], False)
    assert len(set(tokens.values())) == 2
    assert all(len(token) >= 43 for token in tokens.values())
    assert identity.tokens(vault(tmp_path), ["pi-1"], False) == {"pi-1": tokens["pi-1"]}
    assert identity.tokens(vault(tmp_path), ["pi-1", "pi-2"], False)["pi-2"] != tokens["pi-2"], "who was revoked comes back under another"
    assert not set(identity.tokens(vault(tmp_path), ["pi-1", "pi-2"], True).values()) & set(tokens.values())


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
    identity.tokens(files, ["pi-1"], False)
    assert files.changed == ["ca.key", "ca.crt", "server.key", "server.crt", "tokens.yml"]
    assert not (tmp_path / "new").exists()


def test_every_variable_of_the_example_inventories_is_known() -> None:
    ansible = PLUGINS.parent
    known = variables.known_variables(ansible / "roles")
    for inventory in ("production.example", "mock"):
        document = yaml.safe_load((ansible / "inventories" / inventory / "hosts.yml").read_text())
        names = set(yaml.safe_load((ansible / "inventories" / inventory / "group_vars" / "all.yml").read_text()))
        for group in document["all"]["children"].values():
            names.update(name for host in group["hosts"].values() for name in host or {})
        assert variables.misspelt({name for name in names if not name.startswith("ansible_")}, known) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("client_senors", "did you mean client_sensors?"),
        ("cilent_sensors", "did you mean client_sensors?"),
        ("server_prot", "did you mean server_port?"),
        ("client_colour_of_the_case", "client_colour_of_the_case is not a variable of any role"),
    ],
)
def test_a_misspelt_variable_is_named_with_what_was_meant(name: str, said: str) -> None:
    known = variables.known_variables(PLUGINS.parent / "roles")
    assert said in variables.misspelt({name, "client_sensors"}, known)[0]


def test_variables_of_somebody_elses_are_left_alone() -> None:
    assert variables.misspelt({"site", "backup_host", "rack"}, {"server_port", "client_sensors"}) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"server_mode": "evalution"}, ["value of server_mode must be one of: private, evaluation, got: evalution"]),
        ({"server_port": "five thousand"}, ["value of server_port must be a whole number, got the text: five"]),
        ({"client_labels": {"empty": 1}}, ["value of client_labels must be a list, got {'empty': 1}"]),
        (
            {"identity_renew": ["tokens", "everything"]},
            ["value of identity_renew must be one or more of: authority, ca, certificate, graphs, tokens. Got no match for"],
        ),
        ({"client_gpio": "yes"}, ["value of client_gpio must be true or false, got the text: yes"]),
        ({"client_instances": "pi-3a"}, ["value of client_instances must be a list, got the text: pi-3a; -e takes it as"]),
        ({"client_sample_every": ["60s"]}, ["value of client_sample_every must be a text, got ['60s']"]),
        ({"server_every": False}, ["value of server_every must be a text, got False"]),
        ({"server_every": None}, ["server_every has no value: give it one, or delete the line"]),
        ({"server_settings": "rounds=3"}, ["value of server_settings must be a table of names and values, got the text"]),
        ({"server_mode": "private", "server_port": 5001, "client_gpio": True, "client_sample_every": 60, "uninstall_data": "true"}, []),
    ],
    ids=lambda value: next(iter(value), "all well") if isinstance(value, dict) else "",
)
def test_a_value_that_its_variable_cannot_have_is_named(values: dict[str, Any], said: list[str]) -> None:
    sentences = variables.unfit(values, variables.known_variables(PLUGINS.parent / "roles"))
    assert [sentence[: len(begin)] for sentence, begin in zip(sentences, said, strict=True)] == said


def test_the_key_that_signs_graphs_is_made_once_and_signs_as_the_command_does(tmp_path: Path) -> None:
    key = identity.graph_key(files := vault(tmp_path))
    assert files.changed == ["graphs.key"]
    assert (tmp_path / "graphs.key").read_text().startswith("$ANSIBLE_VAULT")
    again = identity.graph_key(vault(tmp_path))
    assert identity.public_text(again) == identity.public_text(key)
    graph = tmp_path / "own.tflite"
    graph.write_bytes(b"a graph")
    (raw,) = signatures.read_keys(identity.public_text(key), "key")
    (signed,) = signatures.read_signatures(identity.signature(key, graph), "signature")
    Ed25519PublicKey.from_public_bytes(raw).verify(signed, signatures.message(hashlib.sha256(b"a graph").hexdigest()))
    with pytest.raises(AnsibleActionFail, match=r"server_graph: .*missing cannot be read on the controller"):
        identity.signature(key, tmp_path / "missing")
