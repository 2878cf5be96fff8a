"""The play brings a client to a household's broker: address, user and password by variables, through the unit's sandbox."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.controller import Controller
from tests.fleet.fleet import Fleet
from tests.fleet.network import GATEWAY
from tests.mosquitto import Mosquitto

PASSWORD = "a b#'c"


@pytest.fixture
def broker(fleet: Fleet, tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker where the controller is, which asks for a password."""
    assert fleet.network is not None
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "bramble", PASSWORD], check=True)
    inside = ("ip", "netns", "exec", fleet.network.namespace)
    with Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}", host=GATEWAY, inside=inside) as started:
        yield started


def test_a_client_logs_in_and_tells_what_it_is_and_nobody_else_reads_its_password(
    fleet: Fleet, controller: Controller, api: Api, broker: Mosquitto, source: Path
) -> None:
    pi, before = fleet["pi-2"], dict(controller.host_variables["pi-2"])
    only = ("--limit", "localhost,hub,pi-2")
    controller.host_variables["pi-2"] |= {
        "client_mqtt": broker.url, "client_mqtt_user": "bramble", "client_mqtt_password": PASSWORD, "client_sample_every": "2s",
    }  # fmt: skip
    try:
        controller.deploy(*only, source=source).ok()
        assert broker.hears("bramble/pi-2/availability", 1, "bramble", PASSWORD) == ["bramble/pi-2/availability online"]
        found = broker.hears("homeassistant/+/bramble_pi-2/temperature/config", 1, "bramble", PASSWORD)
        assert json.loads(found[0].split(" ", 1)[1])["unit_of_measurement"] == "°C"
        assert pi.output("stat -c '%a %U' /etc/bramble/mqtt-client.login") == "600 root"
        assert PASSWORD not in pi.journal("bramble-client.service") + pi.output("cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' '")
        assert not [host for host, changed in controller.deploy(*only, source=source).ok().changed.items() if changed]
    finally:
        controller.host_variables["pi-2"] = before
        controller.deploy(*only, source=source).ok()
    assert not pi.run("ls /etc/systemd/system/bramble-client.service.d/mqtt.conf", check=False).stdout
