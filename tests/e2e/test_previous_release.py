"""Release 0.1 beside this one, both as processes: a fleet upgrades its server first and its clients over hours, and may go back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bramble_protocol.features import FEATURES
from bramble_protocol.graph import GraphFile
from tests import previous
from tests.edge_client.process import CLIMATE, ROOT, ClientProcess
from tests.ports import kept
from tests.server.process import ServerProcess
from tests.waiting import wait_for

CLIMATE_0_1 = ROOT / "tests/runtimes/references/climate-0.1.tflite"
pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def release_0_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its command."""
    return previous.install(tmp_path_factory.mktemp("release-0.1"))


def connected(server: ServerProcess, *clients: str) -> Any:
    """Wait until these are there and have said how they are; return what is known of them."""

    def known() -> Any:
        found = server.api.clients()
        there = [name for name, client in found.items() if client["connected"] and client["health"]]
        return set(there) >= set(clients) and found

    return wait_for(known, f"{', '.join(clients)} at {server.url}")


def test_its_client_learns_beside_one_of_today_and_hears_nothing_new(tmp_path: Path, release_0_1: Path) -> None:
    size = GraphFile.read(CLIMATE.read_bytes()).manifest.layout.size
    with (
        ServerProcess(tmp_path, "--task", str(CLIMATE), "--reply-encoding", "delta-float16") as server,
        ClientProcess(server.url, tmp_path, name="pi-old", bramble=release_0_1) as old,
        ClientProcess(server.url, tmp_path, name="pi-new") as new,
    ):
        clients = connected(server, "pi-old", "pi-new")
        told = {name: (client["version"], client["protocol"], client["features"]) for name, client in clients.items()}
        assert told["pi-old"] == ("0.1.0", 1, [])
        assert told["pi-new"][1:] == (2, list(FEATURES))
        for client in (old, new):
            client.wait_connected()
        for _ in range(2):  # the second after a reset, from nothing
            server.measure(60)
            assert old.samples == new.samples == 60
            mirrored = server.api.readings()
            assert len(mirrored["pi-old"]["temperature"]["t"]) == len(mirrored["pi-new"]["temperature"]["t"]) == 60
            record = server.play()
            assert (record["state"], record["reason"]) == ("committed", None)
            parts = record["clients"]
            assert [parts[name]["bytes"] for name in ("pi-old", "pi-new")] == [2 * size, 2 * size]
            assert all(part["samples"] == parts["pi-new"]["samples"] > 0 and part["update_norm"] > 0 for part in parts.values())
            for client in (old, new):
                client.delivered()
            server.api.reset()
            wait_for(lambda: old.samples == new.samples == 0, "both to forget their readings")
        assert "refused" not in server.log()
        assert not [line for line in old.log().splitlines() if "cannot be read" in line or "refused" in line]


def test_a_client_of_today_follows_its_server_back_and_forth(tmp_path: Path, release_0_1: Path) -> None:
    port, folders = kept(), {name: tmp_path / name for name in ("today", "former")}
    for folder in folders.values():
        folder.mkdir()

    def today() -> ServerProcess:
        return ServerProcess(folders["today"], "--task", str(CLIMATE), "--min-clients", "1", port=port)

    def former() -> ServerProcess:
        return ServerProcess(folders["former"], "--task", str(CLIMATE_0_1), "--min-clients", "1", port=port, bramble=release_0_1)

    with ClientProcess(f"http://127.0.0.1:{port}", tmp_path) as client:
        with today() as server:
            assert connected(server, "pi-1")["pi-1"]["protocol"] == 2
        with former() as server:
            connected(server, "pi-1")
            client.wait_log("speaks version 1 of the contract, and so does this client")
            server.measure(60)
            record = server.play()
            assert record["state"] == "committed"
            assert record["clients"]["pi-1"]["update_norm"] > 0
        with today() as server:
            assert connected(server, "pi-1")["pi-1"]["protocol"] == 2
            server.measure(60)
            assert server.play()["state"] == "committed"
        assert not [line for line in client.log().splitlines() if "refuses" in line or "does not take" in line]
