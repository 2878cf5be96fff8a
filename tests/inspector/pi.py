"""Clients that speak the real protocol to a real server, and answer what the test wrote down."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from bramble_protocol.features import TRACKS
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages import Channel, ClientUpdate, Column, DataUpdate, GenerateData, Handshake, Timing, TrainingComplete
from tests.in_order import InOrder

CHANNELS = (Channel("temperature", "°C"), Channel("humidity", "%"), Channel("pressure", "hPa"))


def reading(place: int, key: str, t: float) -> float:
    """What the sensor of the client at ``place`` reads at ``t``: a different climate at each place."""
    hour = t / 3600
    day = math.sin(2 * math.pi * (hour - 9) / 24)
    return {
        "temperature": round(6.0 + 6 * place + 4.5 * day + 2.5 * math.sin(hour / 61 + place), 2),
        "humidity": round(60.0 - 12 * day - 3 * place, 2),
        "pressure": round(1013.0 + 6 * math.sin(hour / 83 + place), 2),
    }[key]


class Pi:
    """One client.

    With ``gate`` cleared it takes a round's model and does not answer until the gate is set. One that knows of ``several`` tasks
    speaks the contract's second version.
    """

    def __init__(self, url: str, name: str, place: int, channels: Sequence[Channel] = CHANNELS, *, several: bool = False) -> None:
        self.name, self.place = name, place
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[int] = []
        self.answered: dict[int, TrainingComplete] = {}
        self.sent: dict[str, dict[float, float | None]] = {}
        self.resets = 0
        self._link = InOrder(reconnection_delay=0.05, reconnection_delay_max=0.2)
        self._link.on("client_update", self._train)
        self._link.on("generate_data", self._sample)
        self._link.on("reset", self._reset)
        self._channels = tuple(channels)
        told: dict[str, Any] = {"features": (TRACKS,)} if several else {}
        hello = Handshake(2 if several else 1, name, simulated=True, channels=self._channels, version="0.1.0", **told)
        self._link.connect(url, auth=hello.to_wire(), transports=["websocket"])

    def close(self) -> None:
        self._link.disconnect()

    def mirror(self, t: list[float], channels: dict[str, Column], cycle: int | None = None) -> None:
        """Mirror readings, as taken."""
        for key, column in channels.items():
            self.sent.setdefault(key, {}).update(zip(t, column.value, strict=True))
        ack = self._link.call("data_update", DataUpdate(cycle, tuple(t), channels).to_wire(), timeout=30)
        assert ack["accepted"], ack

    def _sample(self, message: dict[str, Any]) -> None:
        ask = GenerateData.from_wire(message)
        t = [ask.t + number * ask.step for number in range(ask.count)]
        columns = {c.key: Column(c.unit, tuple(reading(self.place, c.key, one) for one in t)) for c in self._channels}
        self.mirror(t, columns, ask.cycle)

    def _train(self, message: dict[str, Any]) -> None:
        update = ClientUpdate.from_wire(message)
        self.asked.append(update.round)
        began = time.time()
        self.gate.wait(60)
        times = sorted(self.sent.get("temperature", {}))[-48:]
        if times:
            values = tuple(round((self.sent["temperature"][t] or 0.0) + math.sin(t / 9000), 2) for t in times)
            self.mirror(times, {"temperature.forecast": Column("°C", values)})
        answer = TrainingComplete(
            round=update.round,
            layout=update.layout,
            encoding=update.reply_encoding,
            weights=self._learn(update.layout, update.weights, update.round),
            samples=100 + self.place,
            metrics=measures(self.place, update.round),
            timing=Timing(began, began, time.time()),
        )
        self.answered[update.round] = answer
        ack = self._link.call("training_complete", answer.to_wire(update), timeout=30)
        assert ack["accepted"], ack

    def _learn(self, layout: Layout, weights: Weights, number: int) -> Weights:
        step = np.random.default_rng([self.place, number]).normal(0, 0.02 / number, layout.size)
        return (weights + step).astype(np.float32)

    def _reset(self, message: dict[str, Any]) -> None:
        self.resets += 1
        self.sent.clear()


def measures(place: int, number: int) -> dict[str, float]:
    """What the client at ``place`` measures in a round; better each time."""
    fall = 0.05 + 0.25 / (number + place)
    return {
        "loss_before": fall,
        "loss_after": 0.8 * fall,
        "test_samples": 24.0 + place,
        "test_error": 1.2 + 6.0 / (number + 1) + 0.1 * place,
        "test_baseline": 4.0 + 0.1 * place,
    }
