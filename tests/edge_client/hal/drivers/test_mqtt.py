"""Other devices' sensors, by what they tell a broker: which messages are believed, and for how long."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from bramble_client.hal import config, open_board
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.mqtt import Mqtt
from bramble_client.hal.errors import ConfigError, NothingYet, Unheard
from tests.mosquitto import Listener, Mosquitto
from tests.waiting import wait_for

PAGE = Path(__file__).parents[4] / "docs" / "home-assistant.md"
NOWHERE = {"broker": "mqtt://127.0.0.1:1", "topic": "zigbee2mqtt/attic"}
TASMOTA = b'{"Time":"2026-11-27T14:00:00","AM2301":{"Temperature":70.7,"Humidity":48.1},"TempUnit":"F"}'


def made(clock: VirtualClock | None = None, **options: Any) -> Mqtt:
    """A sensor that is not connected: what it hears is handed to it."""
    chosen = {"inputs": {"temperature": "temperature"}, **NOWHERE, **options}
    driver = Mqtt.configured(chosen)(None, 0, clock or VirtualClock(), **chosen)  # type: ignore[arg-type]
    assert isinstance(driver, Mqtt)
    return driver


def hear(driver: Mqtt, *payloads: bytes, kept: bool = False) -> None:
    for payload in payloads:
        driver._take(driver.topic, payload, kept)


@pytest.mark.parametrize(
    ("options", "payload", "values"),
    [
        ({"inputs": {"temperature": "temperature"}}, b'{"temperature": 21.5, "linkquality": 90}', {"temperature": 21.5}),
        ({"inputs": {"temperature": ""}}, b"21.5", {"temperature": 21.5}),
        ({"inputs": {"temperature": "0.value"}}, b'[{"value": "21.5"}]', {"temperature": 21.5}),
        (
            {"inputs": {"temperature": "AM2301.Temperature", "humidity": "AM2301.Humidity"}, "units": {"temperature": "°F"}},
            TASMOTA,
            {"temperature": 21.5, "humidity": 48.1},
        ),
    ],
    ids=["zigbee2mqtt", "esphome", "a list", "tasmota"],
)
def test_a_channel_is_read_from_its_place_in_its_unit(options: dict[str, Any], payload: bytes, values: dict[str, float]) -> None:
    driver = made(**options)
    hear(driver, payload)
    assert driver.read().values == pytest.approx(values)


def test_a_value_holds_until_it_is_stale() -> None:
    clock = VirtualClock()
    driver = made(clock, stale=600.0)
    hear(driver, b'{"temperature": 21.5}')
    clock.sleep(599.0)
    assert driver.read() == (clock.monotonic(), {"temperature": 21.5})
    clock.sleep(2.0)
    with pytest.raises(Unheard, match=r"topic zigbee2mqtt/attic has said nothing of temperature for 601 s.*raise 'stale'"):
        driver.read()
    hear(driver, b'{"humidity": 40}')
    with pytest.raises(Unheard, match="temperature for 601 s"):
        driver.read()
    hear(driver, b'{"temperature": 21.0}')
    assert driver.read().values == {"temperature": 21.0}


def test_what_the_broker_had_kept_may_be_of_last_week_and_is_not_taken() -> None:
    driver = made()
    driver._broker.trouble = None
    hear(driver, b'{"temperature": 21.5}', kept=True)
    with pytest.raises(NothingYet, match="has said nothing of temperature yet"):
        driver.read()


@pytest.mark.parametrize(
    "payload",
    [b'{"temperature": "unavailable"}', b'{"temperature": true}', b'{"temperature": NaN}', b'{"temperature": 1e999}', b"offline", b"\xff",
     b'{"temperature": {}}', b'{"temperature": 1' + b"0" * 400 + b"}", b"[" * 100_000, b"1" * 70_000],
)  # fmt: skip
def test_what_is_no_number_is_named_and_the_next_number_is_taken(payload: bytes) -> None:
    driver = made()
    hear(driver, b'{"temperature": 20.9}', payload)
    with pytest.raises(Unheard, match=r"topic zigbee2mqtt/attic says .*see what the device tells there") as refused:
        driver.read()
    assert len(str(refused.value)) < 200
    hear(driver, b'{"temperature": 21.5}')
    assert driver.read().values == {"temperature": 21.5}


def test_a_device_that_does_not_know_yet_says_nothing() -> None:
    driver = made()
    hear(driver, b'{"temperature": 21.5}', b'{"temperature": null}', b"{}")
    assert driver.read().values == {"temperature": 21.5}


def test_a_leap_is_believed_when_the_next_message_agrees_and_a_spike_never() -> None:
    clock = VirtualClock()
    driver = made(clock)
    hear(driver, b'{"temperature": 21.5}', b'{"temperature": 85}')
    with pytest.raises(Unheard, match="its temperature leapt"):
        driver.read()
    hear(driver, b'{"temperature": 21.6}')
    assert driver.read().values == {"temperature": 21.6}
    hear(driver, b'{"temperature": 3.0}', b'{"temperature": 3.4}')
    assert driver.read().values == {"temperature": 3.4}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('topic = "zigbee2mqtt/#"', "name it whole, without"),
        ('broker = "http://hub"', "expected the broker's address"),
        ('inputs = { warmth = "t" }', "'warmth' is not in the channel table"),
        ("inputs = {}", "inputs is empty"),
        ('units = { humidity = "%" }', "units names humidity, which inputs does not"),
        ('units = { temperature = "hPa" }', "'hPa' is no unit of temperature that Bramble knows; it knows °C, degc"),
        ("stale = 0", "stale"),
        ("address = 0x76", "says nothing here"),
    ],
)
def test_what_cannot_be_is_refused_by_key_before_anything_starts(tmp_path: Path, line: str, why: str) -> None:
    lines = {"broker": '"mqtt://h"', "topic": '"t"', "inputs": '{ temperature = "" }'} | dict([line.split(" = ", 1)])
    path = tmp_path / "sensors.toml"
    path.write_text('[[sensor]]\ndriver = "mqtt"\n' + "\n".join(f"{key} = {value}" for key, value in lines.items()))
    sensors, problems = config.load(path)
    assert (sensors, len(problems)) == ([], 1)
    assert why in str(problems[0])


def test_a_login_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"zigbee2mqtt/attic: login: cannot read .*gone"):
        made(login=str(tmp_path / "gone"))


def test_the_examples_of_the_page_load(tmp_path: Path) -> None:
    for number, example in enumerate(re.findall(r"```toml\n(\[\[sensor.*?)```", PAGE.read_text("utf-8"), re.DOTALL)):
        path = tmp_path / f"{number}.toml"
        path.write_text(example)
        sensors, problems = config.load(path)
        assert (len(sensors), problems) == (3, [])


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text(
        '[[sensor]]\ndriver = "mqtt"\nbroker = "mqtt://h"\ntopic = "tele/attic/SENSOR"\ninputs = { temperature = "A.T" }\nevery = 5\n'
    )
    sensors, _ = config.load(path)
    assert sensors[0].name == "attic"
    path.write_text(config.dumps(sensors))
    assert config.load(path)[0][0].options == sensors[0].options


@pytest.mark.slow
def test_devices_at_a_real_broker_feed_a_board_and_a_broker_that_goes_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    mosquitto = Mosquitto(tmp_path)
    path = tmp_path / "sensors.toml"
    path.write_text(
        f'[[sensor]]\ndriver = "mqtt"\nbroker = "{mosquitto.url}"\ntopic = "z/attic"\ninputs = {{ temperature = "t" }}\nstale = 1\n'
        f'[[sensor]]\ndriver = "mqtt"\nbroker = "{mosquitto.url}"\ntopic = "z/roof"\ninputs = {{ temperature = "" }}\n'
    )
    board = open_board("linux", seed="pi", configuration=path)
    with mosquitto, Listener(mosquitto) as there:
        assert board.sample() == {"temperature": None, "roof.temperature": None}
        there.says("z/attic", '{"t": 21.5}')
        there.says("z/roof", "-3.5")
        wait_for(lambda: board.sample() == {"temperature": 21.5, "roof.temperature": -3.5}, "the readings")
        assert caplog.text.count("sensor attic is gone: topic z/attic has said nothing of temperature yet") == 1
    wait_for(lambda: "attic" in (board.sample() and board.gone), "the end of what it said")
    assert board.sample()["roof.temperature"] == -3.5, "it holds for longer"
    error = board.sensors[0].error
    assert error is not None
    assert f"its broker {mosquitto.url} cannot be used" in str(error)
    board.close()
    board.close()
