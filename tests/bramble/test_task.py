"""``bramble task key`` and ``sign``: what they write, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bramble import cli
from bramble_client.learn.graph_trust import GraphTrust, read_keys
from bramble_client.learn.graphs import GraphRejected
from bramble_protocol.graph import GraphFile
from bramble_server import tasks
from tests.edge_client.learn.test_graph_trust import OWN


def bramble(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    assert end.value.code == code


@pytest.fixture
def key(tmp_path: Path) -> Path:
    bramble("task", "key", tmp_path / "operator.key")
    return tmp_path / "operator.key"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "own.tflite"
    path.write_bytes(OWN.data)
    return path


def test_a_graph_that_was_signed_is_run_by_a_client_with_the_key_and_by_no_other(tmp_path: Path, key: Path, graph: Path) -> None:
    bramble("task", "key", tmp_path / "other.key")
    bramble("task", "sign", graph, "--key", key)
    found = tasks.signatures_of(str(graph))
    GraphTrust(read_keys(f"{key}.pub")).check(OWN, lambda _: found)
    with pytest.raises(GraphRejected, match="none of its 1 signatures"):
        GraphTrust(read_keys(f"{tmp_path}/other.key.pub")).check(OWN, lambda _: found)


def test_several_may_sign_and_signing_twice_adds_nothing(tmp_path: Path, key: Path, graph: Path) -> None:
    bramble("task", "key", tmp_path / "other.key")
    for signer in (key, key, tmp_path / "other.key"):
        bramble("task", "sign", graph, "--key", signer)
    assert len((tmp_path / "own.tflite.sig").read_text().splitlines()) == 2


def test_a_private_key_is_its_owners_alone_and_never_written_over(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    bramble("task", "key", key, code=1)
    assert "operator.key cannot be made (File exists)" in capsys.readouterr().err
    assert key.read_bytes() == before


def test_a_key_under_a_passphrase_asks_for_it(key: Path, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"correct horse")))
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "correct horse")
    bramble("task", "sign", graph, "--key", key)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "battery staple")
    bramble("task", "sign", graph, "--key", key, code=1)


@pytest.mark.parametrize("case", ["no graph", "no file", "no key", "a public key", "another kind of key"])
def test_what_cannot_be_signed_or_signs_nothing_is_one_sentence(
    case: str, tmp_path: Path, key: Path, graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if case == "no graph":
        graph.write_bytes(b"TFL3 and no more")
    elif case == "no file":
        graph.unlink()
    elif case == "no key":
        key.unlink()
    elif case == "a public key":
        key = Path(f"{key}.pub")
    else:
        other = ec.generate_private_key(ec.SECP256R1())
        key.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    bramble("task", "sign", graph, "--key", key, code=1)
    said = capsys.readouterr().err
    assert said.startswith("bramble: ")
    assert said.count("\n") == 1
    assert not Path(f"{graph}.sig").exists()


def test_a_built_in_task_with_another_horizon_is_the_one_that_was_released() -> None:
    assert GraphFile.read(tasks.load("climate", tasks.Terms(6)).data).fingerprint == tasks.load("climate").fingerprint
