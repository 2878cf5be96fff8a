"""Clients' own keys as quickstart makes them, and how they come to the Pis."""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path

import pytest

from bramble.quickstart.enrolling import BEGIN, END, enrol
from bramble.quickstart.handout import line, script
from bramble.quickstart.identity import certify
from bramble_protocol.secure.roll import Identity, Roll

SETTINGS = {"server": "https://192.168.1.10:5000", "sensors": "linux", "mode": "private"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fleet with an authority."""
    (tmp_path / "clients").mkdir()
    certify(tmp_path, "192.168.1.10", dt.datetime.now(dt.UTC))
    return tmp_path


def test_each_client_gets_a_key_of_its_own_that_lasts_and_is_on_the_roll(folder: Path) -> None:
    keys = enrol(folder, ["attic", "cellar"])
    before = (folder / "roll").read_bytes()
    assert enrol(folder, ["attic", "cellar"]) == keys
    assert (folder / "roll").read_bytes() == before
    assert enrol(folder, ["attic", "cellar", "roof"]) | keys == enrol(folder, ["roof", "cellar", "attic"])
    roll = Roll.read(folder / "roll", folder / "ca.crt")
    assert set(roll.keys) == {"attic", "cellar", "roof"}
    assert len(set(roll.keys.values())) == 3
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.glob("clients/*.key"))


def test_a_pi_makes_its_key_of_what_is_pasted_and_of_nothing_that_is_fetched(folder: Path, tmp_path: Path) -> None:
    key = enrol(folder, ["attic"])["attic"]
    wheel = tmp_path / "bramble_fl-1.2-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    text = script("http://hub", wheel, [], "CA", "KEY", SETTINGS, (folder / "roll").read_text())
    assert key not in text.decode()
    pasted = line("http://hub", text, "attic", "s3cret", key)
    assert pasted.startswith(rf" printf '%s\n' s3cret {key} | (")
    (tmp_path / "identity.key").write_text(f"{BEGIN}\n{key}\n{END}\n")  # as join.sh does
    assert Identity.read(tmp_path / "identity.key").public == Roll.read(folder / "roll").keys["attic"]
    toml = text.decode().partition("client.toml <<EOF\n")[2].partition("\nEOF")[0]
    client = tomllib.loads(toml.replace("$name", "attic"))["client"]
    assert (client["secure"], client["roll"]) == (True, "/etc/bramble/roll")
