"""A client forecasts by itself, with real processes on real sockets."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.edge_client.process import CLIMATE, ClientProcess
from tests.mosquitto import Listener, Mosquitto
from tests.server.process import ServerProcess
from tests.waiting import wait_for

HOUR = 3600.0


def told(client: ClientProcess) -> dict[str, Any] | None:
    path = client.folder / "latest.json"
    found: dict[str, Any] | None = json.loads(path.read_text())["tasks"]["climate"] if path.exists() else None
    return found


def test_it_says_in_a_file_and_to_a_broker_what_comes_next_and_mirrors_it(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path, "--task", str(CLIMATE), "--min-clients", "1") as server,
        Mosquitto(tmp_path) as mosquitto,
        ClientProcess(server.url, tmp_path, "--mqtt", mosquitto.url) as client,
        Listener(mosquitto) as home,
    ):
        client.wait_connected()
        server.measure(60)
        assert server.play()["state"] == "committed"
        found = wait_for(lambda: told(client), "a forecast")
        # the hour of the newest reading is not over
        newest = server.api.readings(client="pi-1")["pi-1"]["temperature"]["t"][-1]
        assert (found["measured"], found["for"]) == (newest - HOUR, newest + 2 * HOUR)
        home.hears("bramble/pi-1/forecast/climate", f"{next(iter(found['outputs'].values())):.7g}")
        beside = json.loads(home.hears("bramble/pi-1/forecast/climate/attributes"))
        assert (datetime.fromisoformat(beside["for"]).timestamp(), beside["round"]) == (found["for"], 1)
        mirrored = wait_for(
            lambda: server.api.readings(client="pi-1")["pi-1"].get("temperature._next.forecast"), "forecasts that are mirrored"
        )
        assert wait_for(
            lambda: server.api.readings(client="pi-1")["pi-1"]["temperature._next.forecast"]["t"][-1] == found["for"], "the next one"
        )
        assert mirrored["unit"] == "°C"
        server.measure(24)
        wait_for(lambda: (told(client) or found)["measured"] == found["measured"] + 24 * HOUR, "a forecast a day later")
        server.api.reset()
        wait_for(lambda: not (client.folder / "latest.json").exists(), "the file to be gone")


def test_without_a_server_it_forecasts_from_what_it_kept(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--task", str(CLIMATE), "--min-clients", "1") as server:
        with ClientProcess(server.url, tmp_path) as client:
            client.wait_connected()
            server.measure(60)
            assert server.play()["state"] == "committed"
            client.delivered()
            before = wait_for(lambda: told(client), "a forecast")
        server_url = server.url
    (client.folder / "latest.json").unlink()
    with ClientProcess(server_url, tmp_path) as again:
        assert wait_for(lambda: told(again), "a forecast")["round"] == before["round"] == 1
