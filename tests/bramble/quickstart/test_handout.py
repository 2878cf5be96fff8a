"""What a Pi fetches, and what it is told to compare it with."""

from __future__ import annotations

import hashlib
import re
import threading
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble.quickstart.handout import Handout, line, script

SETTINGS = {"server": "https://192.168.1.10:5000", "sensors": "linux", "mode": "private"}


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "bramble_fl-1.2-py3-none-any.whl"
    path.write_bytes(b"a wheel")
    return path


def made(wheel: Path, *others: Path) -> str:
    return script("http://192.168.1.10:5001", wheel, others, "-----BEGIN CERTIFICATE-----\n", "ed25519:AAAA\n", SETTINGS).decode()


def test_the_script_names_each_file_with_its_digest_and_holds_the_authority(wheel: Path, tmp_path: Path) -> None:
    other = tmp_path / "pip-26.0-py3-none-any.whl"
    other.write_bytes(b"pip")
    text = made(wheel, other)
    fetched = re.findall(r"(?m)^fetch (\S+) ([0-9a-f]{64})$", text)
    assert fetched == [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in (wheel, other)]
    assert "base=http://192.168.1.10:5001\n" in text
    assert "\n-----BEGIN CERTIFICATE-----\nEOF\n" in text
    assert not re.findall(r"@[A-Z]+@", text), "all is filled in"
    toml = re.search(r"client\.toml <<EOF\n(.*?)\nEOF", text, re.DOTALL)
    assert toml is not None
    client = tomllib.loads(toml[1].replace("$name", "pi-1"))["client"]
    assert client == {**SETTINGS, "id": "pi-1", "ca": "/etc/bramble/ca.crt", "trust_graphs": "/etc/bramble/graphs.pub"}


def test_the_line_carries_the_scripts_digest_and_its_token_neither_in_an_address_nor_in_an_argument(wheel: Path) -> None:
    text = made(wheel).encode()
    pasted = line("http://192.168.1.10:5001", text, "pi-1", "s3cret")
    assert hashlib.sha256(text).hexdigest() in pasted
    assert pasted.count("s3cret") == 1
    assert pasted.startswith(" printf %s s3cret | (")
    assert pasted.endswith('| sha256sum -c --quiet - && sudo sh "$f" pi-1)')


@pytest.fixture
def handout() -> Iterator[Handout]:
    made = Handout("127.0.0.1", 0)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_what_is_handed_out_is_handed_out_and_nothing_else_is(handout: Handout, wheel: Path) -> None:
    handout.files.update({"join.sh": b"#!/bin/sh\n", wheel.name: wheel})
    base = f"http://127.0.0.1:{handout.server_port}"
    for name, content in (("join.sh", b"#!/bin/sh\n"), (wheel.name, b"a wheel")):
        with urllib.request.urlopen(f"{base}/{name}") as answer:
            assert answer.read() == content
    for path in ("", "ca.key", "../ca.key", f"..%2f{wheel.name}", "etc/passwd"):
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(f"{base}/{path}")
        refused.value.close()
