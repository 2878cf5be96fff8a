"""What a household's broker, a real one, is told of a client."""

from __future__ import annotations

import json
import logging
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_client.acquire.recorder import Recorder
from bramble_client.deliver.home_assistant import HomeAssistant, answers, reading
from bramble_client.settings import ClientSettings
from bramble_client.use.inference import Inference
from bramble_client.use.received import Received
from bramble_protocol.graph import GraphFile, Manifest
from bramble_protocol.messages import Channel
from tests import ports
from tests.edge_client.process import CLIMATE
from tests.mosquitto import Listener, Mosquitto
from tests.protocol.test_kinds import ACTIVITY, ANOMALY
from tests.waiting import wait_for

GRAPH = GraphFile.read(CLIMATE.read_bytes())
T = 1_672_531_200.0
CHANNELS = (Channel("temperature", "°C"), Channel("attic.gas_resistance", "Ω"))


def received(manifest: Manifest, number: int = 7, threshold: float | None = None) -> Received:
    return Received("0" * 64, number, manifest.layout, np.zeros(manifest.layout.size, np.float32), "", threshold)


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as started:
        yield started


def home(mosquitto: Mosquitto, name: str = "pi-1", **other: Any) -> HomeAssistant:
    own = ((True, {"gone": ["roof"], "doubted": []}), (True, None), (False, None))
    return HomeAssistant(ClientSettings(id=name, sensors="mock", mqtt=mosquitto.url, **other), CHANNELS, 60.0, lambda: own)


@pytest.mark.slow
def test_a_client_is_one_device_whose_readings_and_forecasts_are_there_for_who_comes_later(mosquitto: Mosquitto) -> None:
    told = home(mosquitto)
    told.start()
    told.measured({"temperature": 21.456789, "attic.gas_resistance": None})
    told.told("climate", received(GRAPH.manifest), GRAPH.manifest, Inference(3600.0, 14_400.0, "personal", {"y": 22.5}))
    with Listener(mosquitto) as there:
        there.hears("bramble/pi-1/availability", "online")
        there.hears("bramble/pi-1/temperature", "21.45679")
        there.hears("bramble/pi-1/attic.gas_resistance", "None")
        there.hears("bramble/pi-1/forecast/climate", "22.5")
        there.hears("bramble/pi-1/round/climate", "7")
        assert json.loads(there.hears("bramble/pi-1/forecast/climate/attributes")) == {
            "measured": "1970-01-01T01:00:00+00:00", "for": "1970-01-01T04:00:00+00:00", "in_use": "personal", "round": 7,
        }  # fmt: skip
        there.hears("bramble/pi-1/sensors", "ON")
        assert json.loads(there.hears("bramble/pi-1/sensors/attributes")) == {"gone": ["roof"], "doubted": []}
        there.hears("bramble/pi-1/server", "ON")
        configs = {topic: json.loads(payload) for topic, payload in there.newest.items() if topic.startswith("homeassistant/")}
        assert len(configs) == 7
        assert len({config["unique_id"] for config in configs.values()}) == 7
        assert {json.dumps(config["device"]) for config in configs.values()} == {json.dumps(configs.popitem()[1]["device"])}
        told.forget("climate")
        there.hears("homeassistant/sensor/bramble_pi-1/forecast-climate/config", "")
        told.stop(1.0)
        there.hears("bramble/pi-1/availability", "offline")


@pytest.mark.slow
def test_two_that_have_one_id_are_named(mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    first, second = home(mosquitto, "twin"), home(mosquitto, "twin")
    with Listener(mosquitto) as there:
        first.start()
        there.hears("bramble/twin/instance", first._instance)
        second.start()
        there.hears("bramble/twin/instance", second._instance)
    first.stop(1.0)
    second.stop(1.0)
    assert caplog.text.count("as twin: give each an --id of its own") == 1


@pytest.mark.slow
def test_a_connection_whose_thread_has_died_is_a_part_that_hangs(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    told = home(mosquitto, "dead")
    monkeypatch.setattr(threading, "excepthook", lambda what: None)
    told.start()
    wait_for(lambda: told._broker.up, "the connection")
    assert told.alive
    told._broker._client.on_publish = dies
    told.measured({"temperature": 1.0})
    wait_for(lambda: not told.alive, "it to be seen")
    assert told.stop(5.0), "its own thread ends all the same"


def dies(*_: object) -> None:
    raise MemoryError


HOUR = 3600


def test_a_broker_that_is_away_for_an_hour_costs_no_sample_and_next_to_no_memory(tmp_path: Path) -> None:
    """Nothing is sent meanwhile, whatever the clock says: so counting the samples of an hour is as good as waiting for it."""
    settings = ClientSettings(id="pi-1", sensors="mock", mqtt=f"mqtt://127.0.0.1:{ports.kept()}")
    told = HomeAssistant(settings, CHANNELS, 1.0, lambda: ())
    recorder = Recorder(tmp_path / "readings.db", 10 * HOUR)
    recorder.heard = told.measured
    keys = [channel.key for channel in CHANNELS]
    recorder.append(T, dict.fromkeys(keys, 0.0))
    topics = len(told._broker._states)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for second in range(1, HOUR):
            recorder.append(T + second, {key: second + number / 7 for number, key in enumerate(keys)})
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000
    assert len(told._broker._states) == topics
    assert set(told._broker._dirty) == set(told._broker._states), "each is told once it is back, its newest state alone"
    assert len(recorder.columns(keys)[0]) == HOUR
    recorder.close()


def test_each_kind_of_task_is_shown_as_what_it_is() -> None:
    found = Inference(3600.0, 3600.0, "global", {ACTIVITY.interface.outputs[0].name: [0.1, 0.9, *[0.0] * (len(ACTIVITY.kind.classes) - 2)]})
    classified = answers("moving", received(ACTIVITY), ACTIVITY, found)[0]
    assert (classified[0].component, classified[0].device_class, classified[1]) == ("sensor", "enum", ACTIVITY.kind.classes[1])
    assert classified[0].options == ACTIVITY.kind.classes
    error = {ANOMALY.interface.outputs[0].name: 0.5}
    for threshold, state in ((0.4, "ON"), (0.6, "OFF")):
        entity, shown = answers("odd", received(ANOMALY, 7, threshold), ANOMALY, Inference(0.0, 0.0, "global", error))[0]
        assert (entity.component, entity.device_class, shown) == ("binary_sensor", "problem", state)
    unknown = answers("odd", received(ANOMALY), ANOMALY, Inference(0.0, 0.0, "global", error))
    assert [entity.key for entity, _ in unknown] == ["round/odd"], "without a threshold nothing is an anomaly"


def test_a_reading_has_the_classes_of_home_assistant_and_expires_when_its_sensor_falls_silent() -> None:
    entity = reading(Channel("attic.temperature", "°C"), 60.0)
    assert (entity.name, entity.device_class, entity.state_class, entity.unit) == ("Attic temperature", "temperature", "measurement", "°C")
    assert (entity.precision, entity.expire_after) == (2, 240)
    assert reading(Channel("gas_resistance", "Ω"), None).device_class is None


def test_what_leaves_the_machine_in_private_mode_is_said(mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        home(mosquitto, mode="private")
        HomeAssistant(ClientSettings(id="pi-1", sensors="mock", mqtt="mqtt://192.0.2.1"), CHANNELS, None, lambda: ())
    assert [line.split(" (")[0] for line in caplog.messages] == [
        f"readings leave this machine for the broker {mosquitto.url}",
        "what is told it goes to the broker mqtt://192.0.2.1:1883 unencrypted; anyone on the network can read it: write mqtts:// where "
        "it can do that",
    ]
