"""Lamp and buttons of a client, driven by pin changes on gpiozero's own mock pins, with a real agent behind them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bramble_client.agent import Agent
from bramble_client.hal import gpio, open_board
from bramble_client.hal.gpio import Status
from bramble_client.learn.trainer import NotEnoughData
from bramble_client.machine import frontpanel
from bramble_client.machine.exchange import CALL, COUNT, PAUSE, Exchange, Question
from bramble_client.machine.frontpanel import FrontPanel, open_pins
from bramble_client.settings import ClientSettings
from bramble_protocol import BrambleError
from bramble_protocol.messages import GenerateData
from tests.edge_client.agents import GRAPH, START, heard, update
from tests.edge_client.process import ROOT, ClientProcess
from tests.edge_client.socketserver import Server
from tests.edge_client.use.test_attention import told
from tests.protocol.test_kinds import ANOMALY
from tests.waiting import wait_for

LED, LABEL, RESET = 17, 27, 22


class Front:
    """An agent with lamp and buttons, as ``run`` puts them together, and a record of what the lamp was told to show."""

    def __init__(self, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = ClientSettings(
            id="pi-1", server=server.url, sensors="mock", gpio=True, labels="walking,sitting", reconnect_max=0.05
        )
        (folder / "graphs").mkdir()
        (folder / "graphs" / f"{GRAPH.sha256}.tflite").write_bytes(GRAPH.data)
        self.pins = open_pins(self.settings, folder)
        self.board = open_board("mock", seed="pi-1")
        self.agent = Agent(self.settings, self.board, folder, None, None)
        self.panel = FrontPanel(self.pins, Exchange(self.settings.classes), self.agent.status, self.agent.label, self.agent.reset)
        self.shown: list[Status] = []
        show = self.panel._panel.show

        def noted(status: Status) -> None:
            self.shown.append(status)
            show(status)

        monkeypatch.setattr(self.panel._panel, "show", noted)

    def wait_shown(self, status: Status) -> None:
        wait_for(lambda: self.shown and self.shown[-1] is status, f"the lamp to show {status}")


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "unset")
    return gpio.open_factory("mock", tmp_path)


@pytest.fixture
def hold() -> float:
    """Seconds for which a button is to be held."""
    return 0.05


@pytest.fixture
def front(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hold: float) -> Iterator[Front]:
    for name in ("GPIOZERO_PIN_FACTORY", "LG_WD"):
        monkeypatch.setenv(name, "unset")
    monkeypatch.setattr(gpio, "HOLD_S", hold)
    monkeypatch.setattr(gpio, "LONG_S", 0.5)
    monkeypatch.setattr(gpio, "TICK_S", 0.005)
    made = Front(tmp_path, server, monkeypatch)
    made.agent.start()
    made.panel.start()
    yield made
    made.panel.stop(30)
    made.agent.stop()
    made.board.close()


def press(front: Front, pin: int, done: Callable[..., bool]) -> None:
    front.pins.pin(pin).drive_low()
    wait_for(done, "the press")
    front.pins.pin(pin).drive_high()


def tap(front: Front, done: Callable[..., Any]) -> None:
    front.pins.pin(LABEL).drive_low()
    front.pins.pin(LABEL).drive_high()
    wait_for(done, "the press")


def test_a_client_with_a_label_button_offers_labels_as_a_channel(front: Front, server: Server) -> None:
    front.wait_shown(Status.CONNECTED)
    keys = [channel.key for channel in front.board.channels]
    assert server.auth[0]["channels"][len(keys) :] == [{"key": "label", "unit": ""}]


def test_the_lamp_is_on_while_connected_and_blinks_while_there_is_no_server(front: Front, server: Server) -> None:
    front.wait_shown(Status.CONNECTED)
    led = front.pins.pin(LED)
    wait_for(lambda: led.state, "light")
    server.stop()
    front.wait_shown(Status.CONNECTING)
    led.clear_states()
    wait_for(lambda: len(led.states) > 4, "blinking")


def test_the_lamp_shows_training_then_an_error_and_a_round_that_works_ends_it(
    front: Front, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, outcomes = threading.Semaphore(0), list[Exception]([BrambleError("odd"), NotEnoughData("too few")])

    def run(*arguments: Any) -> Any:
        gate.acquire()
        raise outcomes.pop(0)

    front.wait_shown(Status.CONNECTED)
    monkeypatch.setattr(front.agent._trainer, "run", run)
    for number, after in ((1, Status.ERROR), (2, Status.CONNECTED)):
        server.sio.emit("client_update", update(number))
        front.wait_shown(Status.TRAINING)
        gate.release()
        front.wait_shown(after)
    assert front.shown[-5:] == [Status.CONNECTED, Status.TRAINING, Status.ERROR, Status.TRAINING, Status.CONNECTED]


def test_the_lamp_shows_a_sensor_that_is_gone_until_it_is_back(front: Front) -> None:
    front.wait_shown(Status.CONNECTED)
    (sensor,) = front.board.sensors
    sensor.error = gpio.GpioError("gone")
    front.wait_shown(Status.ERROR)
    front.board.sample(START)
    front.wait_shown(Status.CONNECTED)


def test_the_lamp_shows_an_alarm_until_a_window_is_ordinary_again_and_the_report_counts_it(front: Front) -> None:
    front.wait_shown(Status.CONNECTED)
    told(front.agent.attention, ANOMALY, 2.0, 1.0)
    front.wait_shown(Status.ALARM)
    assert front.agent._reporter.read().alarms == 1
    told(front.agent.attention, ANOMALY, 0.5, 1.0)
    front.wait_shown(Status.CONNECTED)
    told(front.agent.attention, ANOMALY, 2.0, 1.0)
    front.agent.reset()
    assert not front.agent.attention.alarming


def test_the_lamp_shows_a_part_that_hangs(front: Front) -> None:
    front.wait_shown(Status.CONNECTED)
    front.agent._cycles.stop(60)
    front.wait_shown(Status.ERROR)


def test_a_label_button_without_classes_says_so(factory: Any, caplog: pytest.LogCaptureFixture) -> None:
    panel = FrontPanel(factory, Exchange(()), lambda: Status.CONNECTED, lambda label, t: pytest.fail("a label"), lambda: None)
    panel._pressed(0.0, long=False)
    assert "no classes are configured" in caplog.text
    panel.stop(1)


def test_each_press_of_the_label_button_is_stored_and_never_sent(front: Front, server: Server) -> None:
    front.wait_shown(Status.CONNECTED)
    for count in (1, 2, 3):
        tap(front, lambda count=count: len(front.agent._recorder.labels()) == count)
    stored = front.agent._recorder.labels()
    assert [label for _, label in stored] == ["walking", "sitting", "walking"]
    assert min(t for t, _ in stored) > 1.6e9
    assert [name for name, _ in server.heard if name not in ("connect", "health")] == []


def test_holding_the_label_button_says_that_it_is_none_of_the_classes(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    front.wait_shown(Status.CONNECTED)
    tap(front, lambda: front.agent._recorder.labels())
    press(front, LABEL, lambda: len(front.agent._recorder.labels()) == 2)
    assert [label for _, label in front.agent._recorder.labels()] == ["walking", ""]


def test_the_lamp_asks_and_a_press_answers_with_the_class_that_it_blinks(front: Front) -> None:
    front.wait_shown(Status.CONNECTED)
    asked = time.time()
    front.panel.ask(Question(asked - 2.0, (1, 0)))
    led = front.pins.pin(LED)
    wait_for(lambda: not led.state, "the lamp, which was on, to ask")
    front.shown.clear()
    tap(front, lambda: len(front.agent._recorder.labels()) == 2)
    (since, label), (until, nothing) = front.agent._recorder.labels()
    assert (since, label, nothing) == (asked - 2.0, "sitting", "")
    assert asked <= until <= asked + 0.1 * len((*CALL, *COUNT * 2, *PAUSE))
    front.wait_shown(Status.CONNECTED)


def test_a_reset_ends_a_question_too(front: Front) -> None:
    front.panel.ask(Question(time.time(), (0, 1)))
    press(front, RESET, lambda: not front.panel._exchange.asking(time.time()))


def test_holding_the_reset_button_forgets_what_a_reset_by_the_server_does(front: Front, server: Server) -> None:
    server_asks = GenerateData(1, START, 3600.0, 60).to_wire()
    front.wait_shown(Status.CONNECTED)
    server.sio.emit("generate_data", server_asks)
    heard(server, "data_update")
    front.agent.label("walking", START)
    wait_for(lambda: front.agent._recorder.columns(["temperature"])[0].size == 60, "readings")
    press(front, RESET, lambda: front.agent._recorder.columns(["temperature"])[0].size == 0)
    assert front.agent._recorder.labels() == []
    assert front.agent._outbox.next() is None


@pytest.mark.parametrize("hold", [60.0])
def test_a_short_press_of_the_reset_button_forgets_nothing(front: Front) -> None:
    front.agent.label("walking", START)
    pin = front.pins.pin(RESET)
    pin.drive_low()
    pin.drive_high()
    front.panel.stop(30)
    assert front.agent._recorder.labels() == [(START, "walking")]


def test_when_it_ends_the_lamp_is_off(front: Front) -> None:
    front.wait_shown(Status.CONNECTED)
    pin = front.pins.pin(LED)
    wait_for(lambda: pin.state, "light")
    front.panel.stop(30)
    assert not pin.state


def test_real_sensors_have_real_pins_and_mock_sensors_mock_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[str] = []
    monkeypatch.setattr("bramble_client.machine.frontpanel.open_factory", lambda kind, folder: kinds.append(kind))
    for sensors in ("linux", "mock"):
        open_pins(ClientSettings(id="pi-1", sensors=sensors, gpio=True), tmp_path)
    assert kinds == ["lgpio", "mock"]


def test_a_real_client_runs_and_ends_with_lamp_and_buttons(server: Server, tmp_path: Path) -> None:
    with ClientProcess(server.url, tmp_path, "--gpio", "--labels", "walking,sitting") as client:
        client.wait_connected()
        assert client.stop() == 0
        assert "Traceback" not in client.log()


WITHOUT_GPIOZERO = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "gpiozero":
            raise ModuleNotFoundError("No module named 'gpiozero'", name=name)

sys.meta_path.insert(0, Absent())
"""


def test_a_client_whose_pins_cannot_be_used_measures_all_the_same(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_GPIOZERO)
    with ClientProcess(server.url, tmp_path, "--gpio", "--mode", "private", PYTHONPATH=f"{tmp_path}:{ROOT}") as client:
        client.wait_connected()
        client.wait_log("runs without lamp and buttons: gpiozero is not installed: pip install bramble-fl[gpio]")
        wait_for(lambda: any(said["sample_age"] is not None for name, said in server.heard if name == "health"), "a sample")
        assert client.stop() == 0
        assert "Traceback" not in client.log()


def test_pins_that_another_program_holds_are_said_and_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, factory: Any
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(factory, "close", lambda: closed.append(True))
    monkeypatch.setattr(frontpanel, "open_factory", lambda kind, folder: factory)
    monkeypatch.setattr("gpiozero.Button", lambda *arguments, **options: 1 / 0)
    settings = ClientSettings(id="pi-1", sensors="mock", gpio=True)
    assert frontpanel.open_panel(settings, tmp_path, lambda: Status.CONNECTED, lambda label, t: None, lambda: None) is None
    assert closed == [True]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "two of them may be the same, or another program holds one" in caplog.text


def test_a_lamp_that_fails_under_way_is_said_once_and_tried_again(
    front: Front, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    front.wait_shown(Status.CONNECTED)
    tries: list[Status] = []

    def broken(status: Status) -> None:
        tries.append(status)
        if len(tries) < 4:
            raise OSError("the chip is gone")
        front.shown.append(status)

    monkeypatch.setattr(front.panel._panel, "show", broken)
    front.board.sensors[0].error = gpio.GpioError("gone")
    front.wait_shown(Status.ERROR)
    assert tries == [Status.ERROR] * 4
    assert sum("the lamp cannot show 'error' (the chip is gone)" in record.getMessage() for record in caplog.records) == 1
