"""Home Assistant's own judgement of MQTT discovery: announcements as JSON on stdin, a sentence for each that it refuses on stdout."""

from __future__ import annotations

import json
import sys

import voluptuous
from homeassistant.components.mqtt import binary_sensor, sensor

SCHEMAS = {"sensor": sensor.DISCOVERY_SCHEMA, "binary_sensor": binary_sensor.DISCOVERY_SCHEMA}

for topic, payload in json.load(sys.stdin):
    try:
        SCHEMAS[topic.split("/")[1]](payload)
    except voluptuous.Invalid as error:
        print(f"{topic}: {error}")
