"""How Home Assistant is told of a device: what it is, which entities it has, and what each says now.

One retained message an entity, as every version of Home Assistant since 2021 takes it (https://www.home-assistant.io/integrations/mqtt,
"Discovery payload"); the newer form, one message a device, is taken since 2024.11 alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bramble_protocol.mqtt.broker import Broker

DISCOVERY = "homeassistant"
"""Where Home Assistant looks for what there is, unless somebody has told it otherwise."""
ROOT = "bramble"
"""Where all topics of ours begin."""
ONLINE, OFFLINE = "online", "offline"
UNKNOWN = "None"
"""What Home Assistant takes for a state that is not known."""


@dataclass(frozen=True)
class Device:
    """What Home Assistant shows as one device.

    Parameters
    ----------
    identifier
        Unique among all of Bramble's at a broker: a client's id, say.
    name, model, version
        Shown to people.
    """

    identifier: str
    name: str
    model: str
    version: str

    @property
    def topic(self) -> str:
        """Where all topics of this device begin."""
        return f"{ROOT}/{self.identifier}"

    @property
    def availability(self) -> str:
        """The topic that says whether it is there."""
        return f"{self.topic}/availability"

    @property
    def last_will(self) -> tuple[str, str]:
        """Topic and payload of a device that ended without a word."""
        return self.availability, OFFLINE


@dataclass(frozen=True)
class Entity:
    """One thing that a device says.

    Parameters
    ----------
    key
        Its topic below the device's, such as ``temperature`` or ``forecast/climate``.
    name
        Shown to people, beside the device's name.
    component
        What it is to Home Assistant.
    unit, device_class, state_class
        Home Assistant's, where it has them.
    category
        ``diagnostic`` for what is about the device rather than the house.
    options
        The states of a sensor of the device class ``enum``.
    precision
        Decimals to show.
    expire_after
        Seconds after which a state that was not renewed is worth nothing.
    attributes
        Whether it says more than its state.
    """

    key: str
    name: str
    component: Literal["sensor", "binary_sensor"] = "sensor"
    unit: str | None = None
    device_class: str | None = None
    state_class: str | None = None
    category: str | None = None
    options: tuple[str, ...] = ()
    precision: int | None = None
    expire_after: int | None = None
    attributes: bool = False

    @property
    def object_id(self) -> str:
        """Its name in the topic of its announcement, which takes no other characters."""
        return re.sub("[^a-z0-9_-]", "-", self.key)


def announcement(device: Device, entity: Entity) -> tuple[str, dict[str, Any]]:
    """Return the topic and the payload by which Home Assistant learns of an entity."""
    topic = f"{device.topic}/{entity.key}"
    optional: dict[str, Any] = {
        "unit_of_measurement": entity.unit,
        "device_class": entity.device_class,
        "state_class": entity.state_class,
        "entity_category": entity.category,
        "options": list(entity.options),
        "suggested_display_precision": entity.precision,
        "expire_after": entity.expire_after,
        "json_attributes_topic": f"{topic}/attributes" if entity.attributes else None,
    }
    payload = {
        "name": entity.name,
        "unique_id": f"bramble_{device.identifier}_{entity.object_id}",
        "state_topic": topic,
        "availability_topic": device.availability,
        "qos": 1,
        "device": {
            "identifiers": [f"bramble_{device.identifier}"],
            "name": device.name,
            "manufacturer": "Bramble",
            "model": device.model,
            "sw_version": device.version,
        },
        "origin": {"name": "Bramble", "sw_version": device.version},
        **{key: value for key, value in optional.items() if value not in (None, [], "")},
    }
    return f"{DISCOVERY}/{entity.component}/bramble_{device.identifier}/{entity.object_id}/config", payload


class Announced:
    """A device at a broker: says what entities it has, and what each says now.

    Parameters
    ----------
    broker
        Takes it; whoever owns it flushes it.
    device
        Which.
    """

    def __init__(self, broker: Broker, device: Device) -> None:
        self._broker, self._device = broker, device
        self._known: dict[str, Entity] = {}
        broker.put(device.availability, ONLINE)

    def has(self, entity: Entity) -> None:
        """Announce an entity, or another form of one."""
        if self._known.get(entity.key) != entity:
            self._known[entity.key] = entity
            topic, payload = announcement(self._device, entity)
            self._broker.put(topic, json.dumps(payload, ensure_ascii=False))

    def tell(self, key: str, state: str, attributes: Mapping[str, Any] | None = None) -> None:
        """Say what an entity's state is."""
        topic = f"{self._device.topic}/{key}"
        self._broker.put(topic, state)
        if attributes is not None:
            self._broker.put(f"{topic}/attributes", json.dumps(attributes, ensure_ascii=False))

    def forget(self, key: str) -> None:
        """Take an entity back."""
        entity = self._known.pop(key, None)
        if entity is not None:
            self._broker.put(announcement(self._device, entity)[0], "")
            for topic in (f"{self._device.topic}/{key}", f"{self._device.topic}/{key}/attributes"):
                self._broker.put(topic, "")

    def leave(self) -> None:
        """Say that the device is gone."""
        self._broker.put(self._device.availability, OFFLINE)
