"""Does Home Assistant take what it is told? Every announcement of clients and servers, by Home Assistant's own validators.

The last release for this Python takes keys that it does not know, so the tests hold the keys to a list beside it.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from bench.apart import PEERS, environment
from bench.table import Row
from bramble_client.deliver.home_assistant import OWN, reading
from bramble_client.hal.channels import TABLE
from bramble_protocol.messages import Channel
from bramble_protocol.mqtt.home_assistant import Device, Entity, announcement
from bramble_server.foundation import read
from bramble_server.home_assistant import FLEET, entities
from bramble_server.settings import ServerSettings

DEVICE = Device("pi-attic", "pi-attic", "Bramble client", "0.2.0")
WRONG = (
    Entity("wrong-class", "Wrong", device_class="warmth"),
    Entity("wrong-category", "Wrong", category="important"),
    Entity("wrong-state", "Wrong", "binary_sensor", device_class="temperature"),
)
"""What shows that the validators look: three that Home Assistant has to refuse."""


def main() -> list[Row]:
    tasks = read(ServerSettings(task=["climate", "room", "activity", "anomaly"]))
    answered = (
        Entity("forecast/climate", "Forecast", unit="°C", device_class="temperature", state_class="measurement", expire_after=3600),
        Entity("class/activity", "Class", device_class="enum", options=("sit", "walk"), expire_after=60, attributes=True),
        Entity("anomaly/anomaly", "Anomaly", "binary_sensor", device_class="problem", expire_after=60, attributes=True),
    )
    channels = [reading(Channel(key, row.unit), 60.0) for key, row in TABLE.items()]
    right = [*OWN, *FLEET, *channels, *answered, *(entity for task in tasks for entity in entities(task))]
    refused, caught = _refused(right), _refused(list(WRONG))
    return [
        Row("announcements that Home Assistant refuses", len(refused), "", 0, f"of {len(right)}; {'; '.join(refused)[:300]}".rstrip("; ")),
        Row("wrong ones that it refuses", len(caught), "", len(WRONG), "class, category, state", bound="at least"),
    ]


def _refused(entities: list[Entity]) -> list[str]:
    told: list[tuple[str, dict[str, Any]]] = [announcement(DEVICE, entity) for entity in entities]
    # its Bluetooth asks for versions that exclude each other, and nothing here needs it
    command = [environment("home_assistant", "--no-deps"), PEERS / "home_assistant_validators.py"]
    done = subprocess.run(command, input=json.dumps(told), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
