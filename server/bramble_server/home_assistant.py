"""What an MQTT broker is told of a fleet, as Home Assistant shows it: one device, with its rounds and who is there, and no reading."""

from __future__ import annotations

import logging
import re
import secrets
import socket
import threading

from bramble_protocol.mqtt.address import warn_if_readable, way
from bramble_protocol.mqtt.broker import Broker
from bramble_protocol.mqtt.home_assistant import UNKNOWN, Announced, Device, Entity
from bramble_server.fleet.registry import Registry
from bramble_server.foundation import Foundation
from bramble_server.installed import release
from bramble_server.rounds.coordinator import Coordinator
from bramble_server.rounds.view import Progress
from bramble_server.settings import ServerSettings
from bramble_server.web.measures import tested

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Seconds between two looks at what changed."""
STOP_S = 1.0
FLEET = (
    Entity("clients", "Clients", state_class="measurement", precision=0),
    Entity("missing", "Missing clients", "binary_sensor", device_class="problem", attributes=True),
)
"""What the fleet says whatever it learns."""


class HomeAssistant:
    """Tells a broker how the fleet is, in a thread of its own: nothing waits for the broker.

    Raises
    ------
    BrokerError
        If a file cannot be used, or paho-mqtt is not installed.
    """

    def __init__(self, settings: ServerSettings, coordinator: Coordinator, registry: Registry) -> None:
        assert settings.mqtt is not None
        self._coordinator, self._registry = coordinator, registry
        host = re.sub("[^a-z0-9-]+", "-", socket.gethostname().split(".")[0].lower())
        # no client's id has a line at its foot, so that a server is never taken for one
        device = Device(f"server_{host}", f"Bramble fleet ({host})", "Bramble server", release())
        self._due, self._stopping = threading.Event(), threading.Event()
        broker = way(settings.mqtt, settings.mqtt_login, settings.mqtt_ca)
        warn_if_readable(broker)
        self._broker = Broker(
            *broker,
            name=f"bramble-server-{secrets.token_hex(4)}",
            last_will=device.last_will,
            wake=self._due.set,
        )
        self._device = Announced(self._broker, device)
        for entity in FLEET:
            self._device.has(entity)
        self._tasks: dict[str, tuple[Entity, ...]] = {}
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._broker.start()
        self._thread.start()

    def stop(self) -> None:
        """End, and say to the broker that the fleet's server is gone."""
        self._stopping.set()
        self._due.set()
        self._thread.join(STOP_S)
        self._device.leave()
        self._broker.stop(STOP_S)

    def _run(self) -> None:
        died = False
        while not self._stopping.is_set():
            try:
                self._look()
                self._broker.flush()
            except Exception:
                log.exception("the broker could not be told how the fleet is")
            if not self._broker.alive and not died:  # rounds are worth more than a restart
                died = True
                log.error(
                    "what speaks to the broker %s has ended by an error: nothing more is told there until the server is restarted",
                    self._broker.address,
                )
            self._due.wait(LOOK_S)
            self._due.clear()

    def _look(self) -> None:
        missing = self._registry.absent()
        self._device.tell("clients", str(len(self._registry.connected())))
        self._device.tell("missing", "ON" if missing else "OFF", {"clients": missing[:100]})
        views = self._coordinator.view.tasks
        served = {each.task: each for each in self._coordinator.foundations if each.task in views}
        for task in [name for name in self._tasks if name not in served]:
            for entity in self._tasks.pop(task):
                self._device.forget(entity.key)
        for task, each in served.items():
            self._tell(each, views[task])

    def _tell(self, task: Foundation, progress: Progress) -> None:
        if task.task not in self._tasks:
            self._tasks[task.task] = entities(task)
            for entity in self._tasks[task.task]:
                self._device.has(entity)
        number, running, error = self._tasks[task.task]
        found = tested(task.graph.manifest.metric, progress.model.metrics)
        self._device.tell(number.key, str(progress.model.round))
        self._device.tell(running.key, "OFF" if progress.running is None else "ON")
        self._device.tell(error.key, UNKNOWN if found is None else f"{found['error']:.6g}", found or {})


def entities(task: Foundation) -> tuple[Entity, Entity, Entity]:
    """Return what Home Assistant shows of a task: the last round, whether one runs, and its error."""
    name, metric = task.task, task.graph.manifest.metric
    return (
        Entity(f"round/{name}", f"Last round ({name})", precision=0),
        Entity(f"running/{name}", f"Round runs ({name})", "binary_sensor", device_class="running"),
        # an error of 0.5 °C is no temperature of 0.5 °C: it has a unit, and no device class
        Entity(f"error/{name}", f"{metric.name} ({name})", unit=metric.unit, state_class="measurement", precision=3, attributes=True),
    )
