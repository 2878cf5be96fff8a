"""Sensors of other devices, as they tell a household's MQTT broker: Zigbee2MQTT, ESPHome, Tasmota and whatever else publishes numbers.

A topic says something when its device likes, and what it said holds until it says something else, for ``stale`` seconds at most. Nobody
can ask it again, so what a chip is asked twice for is believed here when the next message agrees. What a broker had kept from before this
listened may be of last week and is not taken. Nothing here can check the device itself, so these readings are *unchecked*.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.channels import Quantity, quantity
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import Driver, Measurement
from bramble_client.hal.drivers.options import Option
from bramble_client.hal.errors import ConfigError, NothingYet, Unheard
from bramble_client.hal.units import UNITS, factors
from bramble_protocol.mqtt.address import Address, BrokerError, read_login, tls_context
from bramble_protocol.mqtt.broker import Broker

PATIENCE_S = 5.0
"""Seconds for which a sensor that begins waits for its broker."""
LARGEST = 65_536
"""Bytes of a message that is looked into; what devices say of themselves has some hundred."""
STALE_S = 3900.0
"""An hour and a little: battery-powered devices report at least each hour."""


class Mqtt(Driver):
    """One topic's numbers; ``configured`` makes the class of one."""

    name, chip = "mqtt", "any device that tells an MQTT broker (unchecked)"
    on_bus = False
    addresses = ()
    channels = ()
    certain = False
    fastest = 0.1
    options = (
        Option("broker", "where it is, such as mqtt://192.168.1.5", kind=str, required=True),
        Option("topic", "where the device tells its values, such as zigbee2mqtt/attic", kind=str, required=True),
        Option("inputs", 'where each channel is in a message: a path in JSON, such as AM2301.Temperature, or ""', kind=dict, required=True),
        Option("units", "units of channels that are not in Bramble's, such as °F", kind=dict),
        Option("stale", "seconds for which a value holds", STALE_S, low=1.0, high=1e6),
        Option("login", "file with user and password on a line each", kind=str),
        Option("ca", "certificate (PEM) of the authority that signed the broker's", kind=str),
    )  # fmt: skip
    topic: ClassVar[str] = ""
    inputs: ClassVar[Mapping[str, str]] = {}
    scales: ClassVar[Mapping[str, tuple[float, float]]] = {}

    @classmethod
    def configured(cls, options: Mapping[str, Any]) -> type[Driver]:
        """Return the class for one topic."""
        topic, inputs, units = options["topic"], options["inputs"], options.get("units", {})
        try:
            Address.parse(options["broker"])
        except ValueError as error:
            raise ConfigError(f"broker: {error}") from error
        if not topic or len(topic) > 1000 or re.search(r"[+#\0]", topic):
            raise ConfigError(f"{topic!r} is no topic of one device: name it whole, without + and #")
        if not inputs:
            raise ConfigError(f'{topic}: inputs is empty; say what it tells, such as inputs = {{ temperature = "temperature" }}')
        for channel in (*inputs, *units):
            try:
                quantity(channel)
            except KeyError as error:
                raise ConfigError(f"{topic}: {error.args[0]}") from None
        if strange := [channel for channel in units if channel not in inputs]:
            raise ConfigError(f"{topic}: units names {', '.join(strange)}, which inputs does not")
        values = {"chip": f"{topic} (mqtt, unchecked)", "channels": tuple(inputs), "topic": topic, "inputs": inputs}
        return type(cls.__name__, (cls,), {**values, "scales": {key: _scale(topic, key, units.get(key)) for key in inputs}})

    @classmethod
    def usual_name(cls) -> str:
        """Return what the device is called in the topic."""
        parts = [part for part in cls.topic.split("/") if part.lower() not in ("", "state", "sensor")]
        name = re.sub("[^a-z0-9_]+", "_", (parts or [cls.name])[-1].lower()).strip("_")
        return (name if re.match("[a-z]", name) else f"{cls.name}_{name}".strip("_"))[:31]

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say that nothing is found by asking: a topic is named."""
        return False

    def __init__(
        self,
        bus: I2CBus,
        address: int | None = None,
        clock: Clock | None = None,
        *,
        broker: str,
        stale: float = STALE_S,
        login: str | None = None,
        ca: str | None = None,
        **said: Any,
    ) -> None:
        super().__init__(bus, 0, clock)
        self._stale, self._lock, self._connected = stale, threading.Lock(), threading.Event()
        self._values = {channel: _Value(quantity(channel)) for channel in self.inputs}
        self._wrong: str | None = None
        self._begun = False
        where = Address.parse(broker)
        try:
            self._broker = Broker(
                where,
                read_login(Path(login), "login") if login else None,
                tls_context(Path(ca) if ca else None, "ca") if where.encrypted else None,
                name=f"bramble-sensor-{secrets.token_hex(8)}",
                wake=self._connected.set,
                login_setting="login",
            )
        except BrokerError as error:
            raise ConfigError(f"{self.topic}: {error}") from error
        self._broker.hear(self.topic, self._take)

    def setup(self) -> None:
        """Connect, the first time; the connection comes back by itself."""
        if not self._begun:
            self._begun = True
            self._broker.start()
            self._connected.wait(PATIENCE_S)

    def read(self) -> Measurement:
        """Return what holds now."""
        now = self.clock.monotonic()
        with self._lock:
            if self._wrong is not None:
                raise Unheard(f"{self} says {self._wrong}; see what the device tells there")
            return Measurement(now, {channel: self._holding(channel, value, now) for channel, value in self._values.items()})

    def close(self) -> None:
        """Leave the broker."""
        if self._begun:
            self._broker.stop(1.0)

    def _holding(self, channel: str, value: _Value, now: float) -> float:
        trouble = "" if self._broker.up else f", and its broker {self._broker.address} cannot be used ({self._broker.trouble})"
        if value.newest is None:
            kind = Unheard if trouble else NothingYet
            raise kind(f"{self} has said nothing of {channel} yet{trouble}")
        said, at = value.newest
        if now - at > self._stale:
            raise Unheard(f"{self} has said nothing of {channel} for {now - at:.0f} s{trouble}; check the device, or raise 'stale'")
        if value.doubted is not None:
            raise Unheard(f"{self}: its {channel} leapt, which is believed once another message says so")
        return said

    def _take(self, topic: str, payload: bytes, kept: bool) -> None:
        if kept:
            return
        now, found, wrong = self.clock.monotonic(), dict[str, float](), None
        try:
            said = _read(payload)
            for channel, path in self.inputs.items():
                value = _at(said, path)
                if value is not None:
                    factor, offset = self.scales[channel]
                    found[channel] = _number(value) * factor + offset
        except ValueError as error:
            wrong = str(error)
        with self._lock:
            self._wrong = wrong
            for channel, number in found.items() if wrong is None else ():
                self._values[channel].take(number, now)

    def __str__(self) -> str:
        return f"topic {self.topic}"


@dataclass
class _Value:
    """What is known of one channel: the newest value that is believed, with its time, and one that it does not fit."""

    row: Quantity
    newest: tuple[float, float] | None = None
    doubted: tuple[float, float] | None = None

    def take(self, value: float, at: float) -> None:
        fits = self.newest is None or any(self._fits(other, value, at) for other in (self.newest, self.doubted) if other)
        self.newest, self.doubted = ((value, at), None) if fits else (self.newest, (value, at))

    def _fits(self, other: tuple[float, float], value: float, at: float) -> bool:
        return abs(value - other[0]) <= self.row.step(at - other[1])


def _scale(topic: str, channel: str, unit: str | None) -> tuple[float, float]:
    """Return factor and offset that turn a value into the channel's unit."""
    key = channel.rpartition(".")[2]
    found = (1.0, 0.0) if unit is None else factors(key, unit)
    if found is None:
        known = ", ".join([quantity(key).unit, *UNITS.get(key, ())])
        raise ConfigError(f"{topic}: {unit!r} is no unit of {channel} that Bramble knows; it knows {known}")
    return found


def _read(payload: bytes) -> Any:
    """Return what a message says: JSON, or the text itself."""
    if len(payload) > LARGEST:
        raise ValueError(f"{len(payload)} bytes at once")
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise ValueError("what is no text") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _at(said: Any, path: str) -> Any:
    """Return what is at a path of names and numbers with points between them; None where a message says nothing of it."""
    for part in path.split(".") if path else ():
        if isinstance(said, list) and part.isdecimal():
            said = said[int(part)] if int(part) < len(said) else None
        elif isinstance(said, dict):
            said = said.get(part)
        elif said is not None:
            raise ValueError(f"{str(said)[:40]!r}, which has no {path}")
    return said


def _number(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{str(value)[:40]!r}, which is no number")
    return number
