"""Real clients that cannot take part, or that share a name, and what each of them logs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from bramble.client import listed
from bramble.settings import ListClientsSettings
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for


def clients(server: ServerProcess) -> dict[str, Any]:
    shown: dict[str, Any] = server.api.clients()
    return shown


def test_a_client_without_a_channel_of_the_task_says_so_and_the_others_train(tmp_path: Path) -> None:
    (tmp_path / "sensors.toml").write_text('[[sensor]]\ndriver = "tmp102"\n')
    with (
        ServerProcess(tmp_path, "--task", str(CLIMATE), "--min-clients", "1") as server,
        ClientProcess(server.url, tmp_path, "--sensors-file", str(tmp_path / "sensors.toml"), name="pi-half") as half,
        ClientProcess(server.url, tmp_path, name="pi-whole") as whole,
    ):
        half.wait_log("the server says: this client does not measure humidity, pressure, so it is not asked for rounds of this task")
        whole.wait_connected()
        server.measure(60)
        assert server.api.start()["clients"] == ["pi-whole"]
        wait_for(lambda: server.api.status()["round"] == 1, "the commit")
        assert clients(server)["pi-half"]["fits"] is False
        assert server.api.readings(client="pi-half")["pi-half"]["temperature"]["value"], "what it measures may be looked at"
        assert half.logged("the server says") == 1


def test_a_client_outside_of_its_hours_is_not_asked_and_the_command_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin, end = (time.strftime("%H:%M", time.localtime(time.time() + 3600 * hours)) for hours in (2, 3))
    with (
        ServerProcess(tmp_path, "--task", str(CLIMATE), "--min-clients", "1") as server,
        ClientProcess(server.url, tmp_path, "--train-between", f"{begin}-{end}", name="pi-night") as night,
        ClientProcess(server.url, tmp_path, name="pi-day") as day,
    ):
        night.wait_connected()
        day.wait_connected()
        wait_for(lambda: clients(server)["pi-night"]["remarks"], "its report")
        server.measure(60)
        assert server.api.start()["clients"] == ["pi-day"]
        wait_for(lambda: server.api.status()["round"] == 1, "the commit")
        listed(ListClientsSettings(server=server.url))
        assert (
            "pi-night takes no part in climate: does not train: outside of the hours in which it may, until 20" in capsys.readouterr().out
        )


def test_two_cards_with_one_id_both_say_so_and_one_of_them_goes_on(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--task", str(CLIMATE), "--min-clients", "1") as server:
        one, two = tmp_path / "one", tmp_path / "two"
        for folder in (one, two):
            folder.mkdir()
        with ClientProcess(server.url, one) as first, ClientProcess(server.url, two) as second:
            wait_for(lambda: clients(server).get("pi-1", {}).get("namesake_since"), "the server to find out")
            said = "give each an id of its own", "give each client an id of its own"
            for client in (first, second):
                wait_for(lambda client=client: any(text in client.log() for text in said), "both to say so")
            assert clients(server)["pi-1"]["connected"]
            assert server.logged("two clients have this name; give each an id of its own") == 1
            arrivals = server.log().count("pi-1: connected from")
            second.kill()
            first.kill()
            assert arrivals <= 6, "they no longer take turns"
