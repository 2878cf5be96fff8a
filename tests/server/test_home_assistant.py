"""What a broker is told of a fleet, by a server that runs."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from tests.mosquitto import Listener, Mosquitto
from tests.protocol.mqtt.test_home_assistant import KEYS
from tests.server.process import ServerProcess
from tests.server.worker import Worker


def test_a_fleet_is_one_device_with_its_rounds_and_who_is_there(tmp_path: Path) -> None:
    host = socket.gethostname().split(".")[0].lower()
    with Mosquitto(tmp_path) as mosquitto, Listener(mosquitto, "+/#") as there:
        with ServerProcess(tmp_path, "--mqtt", mosquitto.url) as server:
            base = f"bramble/server_{host}"
            there.hears(f"{base}/clients", "0")
            there.hears(f"{base}/round/small", "0")
            there.hears(f"{base}/error/small", "None")
            workers = [Worker(server.url, name) for name in ("pi-1", "pi-2")]
            there.hears(f"{base}/clients", "2")
            assert server.play()["state"] == "committed"
            there.hears(f"{base}/round/small", "1")
            there.hears(f"{base}/missing", "OFF")
            workers[0].stop()
            there.hears(f"{base}/missing", "ON")
            assert json.loads(there.hears(f"{base}/missing/attributes")) == {"clients": ["pi-1"]}
            workers[1].stop()
            configs = [(topic, json.loads(said)) for topic, said in there.newest.items() if topic.startswith("homeassistant/")]
            assert len(configs) == 5
            assert all(payload.keys() <= KEYS[topic.split("/")[1]] for topic, payload in configs)
            assert server.stop() == 0
        there.hears(f"{base}/availability", "offline")
