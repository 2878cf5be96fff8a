"""What a household's own broker is told of this client, as Home Assistant shows it: one device, whose entities tables here describe.

Nothing here waits for the broker, and nobody waits for this.
"""

from __future__ import annotations

import logging
import math
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bramble_client.hal.channels import quantity
from bramble_client.use.inference import Inference, forecast_in
from bramble_client.use.received import Received
from bramble_client.worker import Worker
from bramble_protocol.graph import Manifest
from bramble_protocol.messages import Channel
from bramble_protocol.mqtt.address import warn_if_readable, way
from bramble_protocol.mqtt.broker import Broker
from bramble_protocol.mqtt.home_assistant import UNKNOWN, Announced, Device, Entity

if TYPE_CHECKING:
    from bramble_client.settings import ClientSettings

log = logging.getLogger(__name__)

PACE_S = 0.5
"""Seconds between two looks at what changed: a sensor that is read 200 times a second is told of twice."""
LOOK_S = 5.0
"""Seconds after which the client's own state is looked at again, where nothing else changes."""
OWN = (
    Entity("sensors", "Sensors", "binary_sensor", device_class="problem", category="diagnostic", attributes=True),
    Entity("server", "Bramble server", "binary_sensor", device_class="connectivity", category="diagnostic"),
    Entity("training", "Training", "binary_sensor", device_class="running", category="diagnostic"),
)
"""What a client says of itself."""
Own = tuple[tuple[bool, Mapping[str, Any] | None], ...]
"""The states of ``OWN``, in their order, each with its attributes."""


class HomeAssistant(Worker):
    """Tells a broker what this client measures, forecasts and is up to.

    Parameters
    ----------
    settings
        Name the broker.
    channels
        What is measured.
    every
        Seconds between two readings of the sensor that is read least often; None where only the server asks for readings.
    own
        Returns what this client says of itself.

    Raises
    ------
    BrokerError
        If a file cannot be used, or paho-mqtt is not installed.
    """

    def __init__(
        self,
        settings: ClientSettings,
        channels: Sequence[Channel],
        every: float | None,
        own: Callable[[], Own],
    ) -> None:
        super().__init__("mqtt")
        assert settings.mqtt is not None
        broker = way(settings.mqtt, settings.mqtt_login, settings.mqtt_ca)
        warn_if_readable(broker)
        if settings.mode == "private":
            sentence = "readings leave this machine for the broker %s (--mqtt), in private mode too: whoever may read there sees them"
            log.warning(sentence, broker.address)
        self._own = own
        self._due, self._began = threading.Event(), threading.Event()
        device = Device(settings.id, settings.id, "Bramble client", settings.version or "source")
        self._broker = Broker(*broker, name=f"bramble-{settings.id}-{secrets.token_hex(4)}", last_will=device.last_will, wake=self.wake)
        self._device = Announced(self._broker, device)
        for channel in channels:
            self._device.has(reading(channel, every))
        for entity in OWN:
            self._device.has(entity)
        self._instance = secrets.token_hex(8)
        self._broker.put(f"{device.topic}/instance", self._instance)
        self._broker.hear(f"{device.topic}/instance", self._look_for_a_namesake)
        self._id = settings.id
        self._tasks: dict[str, list[str]] = {}

    def wake(self) -> None:
        """Look whether there is something to tell."""
        self._due.set()

    def run(self) -> None:
        """Tell what changes until told to stop."""
        self._broker.start()
        self._began.set()
        while not self._stopping.is_set():
            for entity, (state, attributes) in zip(OWN, self._own(), strict=True):
                self._device.tell(entity.key, _on(state), attributes)
            self._broker.flush()
            self._stopping.wait(PACE_S)
            self._due.wait(LOOK_S)
            self._due.clear()

    @property
    def alive(self) -> bool:
        """Whether its own thread runs, and the connection's, once there is one."""
        return super().alive and (not self._began.is_set() or self._broker.alive)

    def stop(self, timeout: float) -> bool:
        """End, and say to the broker that this client is gone."""
        ended = super().stop(timeout)
        self._device.leave()
        self._broker.stop(timeout)
        return ended

    def measured(self, values: Mapping[str, float | None]) -> None:
        """Take a sample, with no value where there is none that can be trusted."""
        for key, value in values.items():
            self._device.tell(key, UNKNOWN if value is None else f"{value:.7g}")
        self.wake()

    def told(self, task: str, model: Received, manifest: Manifest, found: Inference) -> None:
        """Take what a model says of the newest readings."""
        keys = []
        for entity, state in answers(task, model, manifest, found):
            self._device.has(entity)
            self._device.tell(entity.key, state, _about(model, manifest, found) if entity.attributes else None)
            keys.append(entity.key)
        self._tasks[task] = keys
        self.wake()

    def forget(self, task: str | None = None) -> None:
        """Say nothing more of a task, or of any."""
        for name in [*self._tasks] if task is None else [task]:
            for key in self._tasks.pop(name, ()):
                self._device.forget(key)
        self.wake()

    def _look_for_a_namesake(self, topic: str, payload: bytes, kept: bool) -> None:
        if not kept and payload != self._instance.encode():
            log.error("another client tells %s what it measures as %s: give each an --id of its own", self._broker.address, self._id)


def reading(channel: Channel, every: float | None) -> Entity:
    """Return what Home Assistant shows of a channel."""
    row = quantity(channel.key)
    return Entity(
        channel.key,
        channel.key.replace(".", " ").replace("_", " ").capitalize(),
        unit=channel.unit,
        device_class=row.device_class,
        state_class="measurement",
        precision=min(3, max(0, -math.floor(math.log10(row.resolution)))),
        expire_after=None if every is None else math.ceil(60 + 3 * every),
    )


def answers(task: str, model: Received, manifest: Manifest, found: Inference) -> list[tuple[Entity, str]]:
    """Return what Home Assistant shows of a model's answer, each entity with its state."""
    key, first = re.sub("[^a-z0-9_-]", "-", task.lower()), found.outputs[manifest.interface.outputs[0].name]
    age = math.ceil((manifest.horizon + 2 * manifest.stride) * manifest.step_s)
    shown: list[tuple[Entity, str]] = []
    forecast = forecast_in(manifest, found.outputs)
    if forecast is not None and math.isfinite(forecast):
        unit = next(channel.unit for channel in manifest.channels if channel.key == manifest.target)
        shape = reading(Channel(manifest.target, unit), None)
        name = f"{shape.name} {_span(manifest.horizon * manifest.step_s)} ahead ({task})"
        shown.append(
            (
                Entity(
                    f"forecast/{key}", name, unit=unit, device_class=shape.device_class, state_class="measurement",
                    precision=shape.precision, expire_after=age, attributes=True,
                ),
                f"{forecast:.7g}",
            )
        )  # fmt: skip
    elif manifest.kind.name == "classify":
        classes = manifest.kind.classes
        entity = Entity(f"class/{key}", f"Class ({task})", device_class="enum", options=classes, expire_after=age, attributes=True)
        shown.append((entity, classes[max(range(len(classes)), key=lambda number: first[number])]))
    elif manifest.kind.name == "reconstruct" and model.threshold is not None:
        entity = Entity(f"anomaly/{key}", f"Anomaly ({task})", "binary_sensor", device_class="problem", expire_after=age, attributes=True)
        shown.append((entity, _on(float(first) > model.threshold)))
    shown.append((Entity(f"round/{key}", f"Round ({task})", category="diagnostic", precision=0), str(model.round)))
    return shown


def _about(model: Received, manifest: Manifest, found: Inference) -> dict[str, Any]:
    """Return what is said beside an answer."""
    times = {"measured": found.measured} | ({"for": found.at} if manifest.kind.forecasts else {})
    first = found.outputs[manifest.interface.outputs[0].name]
    said: dict[str, Any] = {name: datetime.fromtimestamp(t, UTC).isoformat() for name, t in times.items()}
    said |= {"in_use": found.in_use, "round": model.round}
    if manifest.kind.name == "classify":
        said["probabilities"] = {name: round(float(part), 3) for name, part in zip(manifest.kind.classes, first, strict=False)}
    if manifest.kind.name == "reconstruct":
        said |= {"error": float(f"{first:.4g}"), "threshold": model.threshold}
    return said


def _span(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds / 60:g} min"


def _on(state: bool) -> str:
    return "ON" if state else "OFF"
