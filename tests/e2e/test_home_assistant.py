"""A client process tells a household's broker what it measures, without a server, and whoever watches learns when it is gone."""

from __future__ import annotations

from pathlib import Path

from tests import ports
from tests.edge_client.process import ClientProcess
from tests.mosquitto import Listener, Mosquitto


def test_readings_reach_the_broker_without_a_server_and_a_client_that_is_killed_is_gone(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{ports.kept()}"
    with Mosquitto(tmp_path) as mosquitto, Listener(mosquitto) as there:
        flags = ("--mode", "private", "--sample-every", "1", "--mqtt", mosquitto.url)
        with ClientProcess(nobody, tmp_path, *flags) as client:
            for key in ("temperature", "humidity", "pressure"):
                there.hears(f"homeassistant/sensor/bramble_pi-1/{key}/config")
                float(there.hears(f"bramble/pi-1/{key}"))
            there.hears("bramble/pi-1/server", "OFF")
            there.hears("bramble/pi-1/sensors", "OFF")
            assert client.logged("readings leave this machine for the broker") == 1
            client.kill()
            there.hears("bramble/pi-1/availability", "offline")
        with ClientProcess(nobody, tmp_path, *flags) as client:
            there.hears("bramble/pi-1/availability", "online")
            assert client.stop() == 0
            there.hears("bramble/pi-1/availability", "offline")
