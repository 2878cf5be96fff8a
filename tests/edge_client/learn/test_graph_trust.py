"""Which graphs a client runs: Bramble's own, and what an operator signed whose key it has."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bramble_client.learn import graph_trust
from bramble_client.learn.graph_trust import GraphTrust, read_keys
from bramble_client.learn.graphs import GraphCache, GraphRejected
from bramble_protocol import BrambleError
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import Channel
from bramble_protocol.signatures import key_text, message
from bramble_server import tasks

CLIMATE = tasks.load("climate")
OPERATOR, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PUBLIC = OPERATOR.public_key().public_bytes_raw()


def own(**changes: object) -> GraphFile:
    """A graph that somebody made of a built-in one."""
    changed = replace(CLIMATE.manifest, declared=None, **changes)  # type: ignore[arg-type]
    declared = replace(changed.interface, slots=CLIMATE.manifest.interface.slots)
    return GraphFile.pack(CLIMATE.flatbuffer, replace(changed, declared=declared), CLIMATE.initial)


OWN = own(step_s=60.0)


def signed(graph: GraphFile, *keys: Ed25519PrivateKey) -> Callable[[str], bytes]:
    lines = [base64.b64encode(key.sign(message(graph.sha256))).decode() for key in keys]

    def fetch(sha256: str) -> bytes:
        assert sha256 == graph.sha256
        return "\n".join(lines).encode()

    return fetch


def nobody(sha256: str) -> bytes:
    raise AssertionError("no signature is asked for")


@pytest.mark.parametrize("horizon", [None, 1, 6, 48])
def test_a_built_in_task_needs_no_signature_however_far_ahead_it_forecasts(horizon: int | None) -> None:
    GraphTrust([]).check(tasks.load("climate", tasks.Terms(horizon)), nobody)


@pytest.mark.parametrize(
    "graph",
    [
        OWN,
        own(window=12),
        own(target="humidity"),
        own(channels=(Channel("illuminance", "lx"), *CLIMATE.manifest.channels[1:]), target="illuminance"),
        own(task="other"),
        GraphFile.pack(CLIMATE.flatbuffer[:-1] + bytes([CLIMATE.flatbuffer[-1] ^ 1]), CLIMATE.manifest, CLIMATE.initial),
        GraphFile.pack(CLIMATE.flatbuffer + b"\0", CLIMATE.manifest, CLIMATE.initial),
    ],
    ids=["step", "window", "target", "channels", "task", "one bit", "one byte"],
)
def test_a_graph_that_differs_in_what_it_runs_or_takes_in_is_another(graph: GraphFile) -> None:
    with pytest.raises(
        GraphRejected, match=r"did not come with Bramble, and this client was given no operator's key; not run: sign it with"
    ):
        GraphTrust([]).check(graph, nobody)
    with pytest.raises(GraphRejected, match="nobody signed it; not run"):
        GraphTrust([PUBLIC]).check(graph, lambda _: b"")


def test_a_signed_graph_is_run_whoever_else_signed_it_and_whichever_key_it_is() -> None:
    GraphTrust([PUBLIC]).check(OWN, signed(OWN, OPERATOR))
    GraphTrust([PUBLIC]).check(OWN, signed(OWN, OTHER, OPERATOR))
    GraphTrust([OTHER.public_key().public_bytes_raw(), PUBLIC]).check(OWN, signed(OWN, OPERATOR))


def test_a_signature_by_another_or_of_another_graph_is_none() -> None:
    with pytest.raises(GraphRejected, match="none of its 1 signatures is by a key that this client was given"):
        GraphTrust([PUBLIC]).check(OWN, signed(OWN, OTHER))
    another = base64.b64encode(OPERATOR.sign(message(CLIMATE.sha256)))
    with pytest.raises(GraphRejected, match="none of its 1 signatures"):
        GraphTrust([PUBLIC]).check(OWN, lambda _: another)
    bare = base64.b64encode(OPERATOR.sign(OWN.sha256.encode()))
    with pytest.raises(GraphRejected, match="none of its 1 signatures"):
        GraphTrust([PUBLIC]).check(OWN, lambda _: bare)


def test_a_signed_graph_of_which_a_byte_changed_is_not_run() -> None:
    changed = GraphFile.pack(OWN.flatbuffer[:-1] + bytes([OWN.flatbuffer[-1] ^ 1]), OWN.manifest, OWN.initial)
    with pytest.raises(GraphRejected, match="none of its 1 signatures is by a key that this client was given"):
        GraphTrust([PUBLIC]).check(changed, lambda _: signed(OWN, OPERATOR)(OWN.sha256))


@pytest.mark.parametrize("text", [b"\xff\x00", b"AAAA", b"not base64 at all"])
def test_what_is_no_signature_is_said(text: bytes) -> None:
    with pytest.raises(GraphRejected, match=r"its signatures, line 1: a signature .*; not run"):
        GraphTrust([PUBLIC]).check(OWN, lambda _: text)


def test_a_graph_that_is_not_to_be_run_is_not_kept_and_one_on_disk_is_judged_again(tmp_path: Path) -> None:
    trust = GraphTrust([PUBLIC])
    refusing = GraphCache(tmp_path, lambda _: OWN.data, lambda graph: trust.check(graph, lambda _: b""))
    with pytest.raises(GraphRejected):
        refusing.get(OWN.sha256)
    assert list(tmp_path.iterdir()) == []
    GraphCache(tmp_path, lambda _: OWN.data).get(OWN.sha256)
    with pytest.raises(GraphRejected):
        refusing.get(OWN.sha256)


def test_keys_are_named_directly_or_by_file(tmp_path: Path) -> None:
    file = tmp_path / "operators.pub"
    file.write_text(f"# two\n{key_text(PUBLIC)}\n{key_text(bytes(32))}\n")
    assert read_keys(f" {file} , {key_text(PUBLIC)},") == [PUBLIC, bytes(32), PUBLIC]
    assert read_keys("") == []
    with pytest.raises(BrambleError, match=r"--trust-graphs: cannot read .*missing \(No such file"):
        read_keys(str(tmp_path / "missing"))
    (tmp_path / "private.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(BrambleError, match=r"private\.pem, line 1: expected a public key"):
        read_keys(str(tmp_path / "private.pem"))


def test_without_the_library_a_client_with_keys_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def missing(name: str, *rest: object) -> object:
        if name.startswith("cryptography"):
            raise ModuleNotFoundError("No module named 'cryptography'")
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(BrambleError, match=r"pip install 'bramble-fl\[client,signing\]'"):
        graph_trust.GraphTrust([PUBLIC])
    GraphTrust([]).check(CLIMATE, nobody)
