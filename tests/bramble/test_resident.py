"""The client's own process: it has every setting, and nothing of what read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bramble import resident
from bramble_client.settings import ClientSettings
from tests.edge_client.process import ClientProcess

NAMES = [*ClientSettings.model_fields, *(name for name, member in vars(ClientSettings).items() if isinstance(member, property))]


@pytest.mark.parametrize(
    "given",
    [
        {"sensors": "mock"},
        {"sensors": "linux", "mode": "private", "data_dir": "/var/lib/x", "gpio": True, "labels": "a, b", "sample_every": "90s"},
        {"sensors": "mock", "replay": "garden.csv", "server": "https://hub", "ca": "ca.pem", "trust_graphs": ["a.pub", "b.pub"]},
    ],
)
def test_a_setting_arrives_as_it_was_with_its_type_and_so_does_what_follows_from_it(given: dict[str, object]) -> None:
    settings = ClientSettings(id="pi-1", **given)  # type: ignore[arg-type]
    arrived = resident.unpacked(resident.packed(settings))
    for name in NAMES:
        expected, found = getattr(settings, name), getattr(arrived, name)
        assert (found, type(found)) == (expected, type(expected)), name


def test_a_client_keeps_its_number_and_holds_neither_typer_nor_pydantic(tmp_path: Path) -> None:
    with ClientProcess("http://127.0.0.1:1", tmp_path) as client:
        client.wait_log("cannot reach the server")
        pid = client.process.pid
        assert b"bramble.resident" in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert "_pydantic_core" not in Path(f"/proc/{pid}/maps").read_text()
        assert client.stop() == 0


def test_what_its_start_finds_wrong_is_one_sentence_and_an_exit_code(tmp_path: Path) -> None:
    with ClientProcess("http://127.0.0.1:1", tmp_path, "--token-file", str(tmp_path / "missing")) as client:
        assert client.process.wait(60) == 1
        assert client.log() == f"bramble: --token-file: cannot read {tmp_path}/missing (No such file or directory)\n"
