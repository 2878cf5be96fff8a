"""A client that comes to another fleet: what it measured for the one before is not that fleet's to learn from."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bramble_client.deliver.outbox import Outbox
from bramble_protocol.messages import Column, DataUpdate
from tests.e2e.test_client_modes import serve
from tests.edge_client.process import ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for


def named(folder: Path, name: str) -> str:
    path = folder / f"{name}.id"
    path.write_text(f"{name}\n")
    return str(path)


def mirrored(server: ServerProcess) -> int:
    data: dict[str, Any] = server.api.readings()
    return len(data.get("pi-1", {}).get("temperature", {"t": []})["t"])


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """A client's folder after a life in the fleet ``garden``, with readings and an answer that its server never took."""
    with serve(tmp_path) as server, ClientProcess(server.url, tmp_path, "--fleet-file", named(tmp_path, "garden")) as client:
        client.wait_connected()
        server.measure(100)
        url = server.url
        server.play()
        server.stop()
        client.wait_log("lost the connection")
    assert client.samples == 100
    with ClientProcess(url, tmp_path, "--fleet-file", named(tmp_path, "garden")) as client:  # coming back is no move
        client.wait_log("going on with 100 samples")
        assert "moved" not in client.log()
    return tmp_path


def test_its_old_readings_are_set_aside_and_the_new_fleet_learns_from_its_own(moved: Path) -> None:
    (moved / "other").mkdir()
    with serve(moved / "other") as server, ClientProcess(server.url, moved, "--fleet-file", named(moved, "office")) as client:
        client.wait_connected()
        assert client.logged("moved from fleet garden to office: its 100 samples are set aside as readings.db.of-garden-") == 1
        assert client.samples == 0
        server.measure(60)
        record = server.play()
        assert mirrored(server) == client.samples == 60
        assert record["clients"]["pi-1"]["samples"] < 60
    assert len(list(client.folder.glob("readings.db.of-garden-*"))) == 1
    with ClientProcess("http://127.0.0.1:9", moved, "--fleet-file", named(moved, "office")) as client:
        client.wait_log("going on with 60 samples")
        assert "moved" not in client.log()


def test_they_come_along_where_its_operator_says_so(moved: Path) -> None:
    (moved / "other").mkdir()
    flags = ("--fleet-file", named(moved, "office"), "--adopt-readings")
    with serve(moved / "other") as server, ClientProcess(server.url, moved, *flags) as client:
        client.wait_connected()
        assert client.logged("moved from fleet garden to office: its 100 samples come along, as --adopt-readings says") == 1
        assert server.play()["clients"]["pi-1"]["samples"] > 60


def test_what_the_former_server_did_not_take_is_not_sent_to_the_new_one(moved: Path) -> None:
    message = DataUpdate(None, (1_700_000_000.0,), {"temperature": Column("°C", (21.5,))})
    with closing(Outbox(moved / "pi-1" / "outbox.db")) as outbox:
        outbox.put_readings("left", "data_update", message.to_wire())
        outbox.put_answer("training_failed", {"round": 1, "reason": "left from the other fleet"}, {})
    (moved / "other").mkdir()
    with serve(moved / "other") as server, ClientProcess(server.url, moved, "--fleet-file", named(moved, "office")) as client:
        client.wait_connected()
        server.measure(60)
        client.delivered()
        assert mirrored(server) == 60
        assert server.play()["clients"]["pi-1"]["samples"]


def test_readings_without_a_fleet_are_the_one_s_that_is_named_first(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        with ClientProcess(server.url, tmp_path) as client:
            client.wait_connected()
            server.measure(50)
        with ClientProcess(server.url, tmp_path, "--fleet-file", named(tmp_path, "garden")) as client:
            client.wait_connected()
            assert client.samples == 50
            assert "moved" not in client.log()
        with ClientProcess(server.url, tmp_path, "--fleet-file", str(tmp_path / "missing")) as client:
            client.wait_connected()
            assert client.logged("missing (No such file or directory); readings stay those of the fleet before") == 1
            assert client.samples == 50
    wait_for(lambda: client.process.poll() is not None, "its end")
