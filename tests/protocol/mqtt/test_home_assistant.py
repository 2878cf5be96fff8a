"""What Home Assistant is told of a device, held to what its documentation lists."""

from __future__ import annotations

import json

import pytest

from bramble_protocol.mqtt.address import Address
from bramble_protocol.mqtt.broker import Broker
from bramble_protocol.mqtt.home_assistant import Announced, Device, Entity, announcement

COMMON = {
    "name", "unique_id", "state_topic", "availability_topic", "qos", "device", "origin", "device_class", "entity_category", "expire_after",
    "json_attributes_topic",
}  # fmt: skip
KEYS = {
    "sensor": COMMON | {"unit_of_measurement", "state_class", "options", "suggested_display_precision"},
    "binary_sensor": COMMON,
}
"""What https://www.home-assistant.io/integrations/sensor.mqtt and binary_sensor.mqtt list, of those that we use."""
DEVICE = Device("pi-attic", "pi-attic", "Bramble client", "0.2.0")
ENTITIES = (
    Entity("attic.temperature", "Attic temperature", unit="°C", device_class="temperature", state_class="measurement", precision=2),
    Entity("class/activity", "Class", device_class="enum", options=("sit", "walk"), expire_after=60, attributes=True),
    Entity("server", "Server", "binary_sensor", device_class="connectivity", category="diagnostic"),
)


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.key)
def test_an_announcement_has_no_key_that_home_assistant_does_not_know(entity: Entity) -> None:
    topic, payload = announcement(DEVICE, entity)
    assert payload.keys() <= KEYS[entity.component]
    assert None not in payload.values()
    assert topic == f"homeassistant/{entity.component}/bramble_pi-attic/{entity.object_id}/config"
    assert payload["state_topic"] == f"bramble/pi-attic/{entity.key}"
    assert payload["device"]["identifiers"] == ["bramble_pi-attic"]


def test_one_that_knows_only_classes_says_which() -> None:
    payload = announcement(DEVICE, ENTITIES[1])[1]
    assert (payload["options"], payload["device_class"]) == (["sit", "walk"], "enum")
    assert "state_class" not in payload, "Home Assistant refuses both"
    assert payload["json_attributes_topic"] == "bramble/pi-attic/class/activity/attributes"


def test_what_is_taken_back_leaves_nothing_at_the_broker() -> None:
    broker = Broker(Address.parse("mqtt://127.0.0.1"), name="test")
    device = Announced(broker, DEVICE)
    device.has(ENTITIES[1])
    device.tell("class/activity", "walk", {"round": 3})
    config = "homeassistant/sensor/bramble_pi-attic/class-activity/config"
    assert json.loads(broker._states[config])["name"] == "Class"
    assert broker._states["bramble/pi-attic/class/activity/attributes"] == '{"round": 3}'
    device.forget("class/activity")
    assert {topic: state for topic, state in broker._states.items() if state} == {"bramble/pi-attic/availability": "online"}
    device.has(ENTITIES[1])
    assert broker._states[config], "it may come again"
