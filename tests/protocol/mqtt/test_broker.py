"""A connection to a real broker that goes away, refuses and comes back."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from bramble_protocol.mqtt import broker as module
from bramble_protocol.mqtt.address import Address, Login, tls_context
from bramble_protocol.mqtt.broker import Broker
from tests.mosquitto import Listener, Mosquitto
from tests.waiting import wait_for


@contextmanager
def connected(url: str, login: Login | None = None, tls: ssl.SSLContext | None = None, up: bool = True) -> Iterator[Broker]:
    """A broker that is flushed whenever it wants to be."""
    due, over = threading.Event(), threading.Event()
    broker = Broker(Address.parse(url), login, tls, name="test", last_will=("will", "gone"), wake=due.set)

    def flush() -> None:
        while not over.is_set():
            due.wait(0.02)
            due.clear()
            broker.flush()

    thread = threading.Thread(target=flush)
    broker.start()
    thread.start()
    try:
        if up:
            wait_for(lambda: broker.up, "the connection")
        yield broker
    finally:
        over.set()
        thread.join()
        broker.stop(2.0)


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as started:
        yield started


def test_each_topic_has_its_newest_state_and_keeps_it_for_who_comes_later(mosquitto: Mosquitto) -> None:
    with connected(mosquitto.url) as broker, Listener(mosquitto) as there:
        for number in range(500):
            broker.put("a", str(number))
        there.hears("a", "499")
        assert len([topic for topic, _ in there.all if topic == "a"]) < 500, "what was overtaken need not be told"
        with Listener(mosquitto) as later:
            later.hears("a", "499")
        broker.put("a", "")


def test_what_is_told_before_it_ends_arrives(mosquitto: Mosquitto) -> None:
    with Listener(mosquitto) as there:
        with connected(mosquitto.url) as broker:
            broker.put("last", "words")
        there.hears("last", "words")
        assert "will" not in there.newest, "it said goodbye"


def test_one_that_ends_without_a_word_leaves_its_will(mosquitto: Mosquitto) -> None:
    with Listener(mosquitto) as there, connected(mosquitto.url) as broker:
        sock: Any = broker._client.socket()
        sock.shutdown(2)
        there.hears("will", "gone")


@pytest.mark.slow
def test_what_changed_while_the_broker_was_away_is_told_once_it_is_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broker_there = Mosquitto(tmp_path)
    with connected(broker_there.url, up=False) as broker:
        wait_for(lambda: "cannot be used" in caplog.text, "the refusal")
        broker.put("a", "before it was ever there")
        with broker_there, Listener(broker_there) as there:
            there.hears("a", "before it was ever there")
        wait_for(lambda: not broker.up, "the end")
        for number in range(2000):
            broker.put("a", str(number))
            broker.put(f"b/{number % 5}", str(number))
        assert len(broker._client._out_messages) <= 6, "a message a topic at most waits"
        with broker_there, Listener(broker_there) as there:
            assert there.hears("a", "1999")
            assert there.hears("b/4", "1999")
    assert len([line for line in caplog.messages if "Connection refused" in line]) <= 2, "each outage is said once"


def test_a_broker_that_refuses_is_named_with_the_remedy_and_without_the_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "passwords").write_text("")
    with (
        Mosquitto(tmp_path, "allow_anonymous false", f"password_file {tmp_path}/passwords") as broker_there,
        connected(broker_there.url, Login("pi", "s3cret"), up=False),
    ):
        wait_for(lambda: "see --mqtt-login" in caplog.text, "the refusal")
    assert f"the broker {broker_there.url} cannot be used (it refuses this connection: " in caplog.text
    assert "s3cret" not in caplog.text


def test_a_broker_with_tls_is_believed_by_its_authority_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Mosquitto(tmp_path, f"certfile {tmp_path}/cert.pem", f"keyfile {tmp_path}/key.pem") as broker_there:
        url = broker_there.url.replace("mqtt:", "mqtts:")
        with connected(url, tls=tls_context(tmp_path / "ca.pem", "--mqtt-ca")):
            pass
        with connected(url, up=False):
            wait_for(lambda: "certificate verify failed" in caplog.text, "the doubt")


def test_more_than_fits_is_left_out_and_said_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "MOST", 100)
    broker = Broker(Address.parse("mqtt://127.0.0.1"), name="test")
    with caplog.at_level(logging.ERROR):
        for topic in "abcdefghij":
            broker.put(topic, "x" * 30)
    assert list(broker._states) == ["a", "b", "c"]
    assert len(caplog.messages) == 1
    broker.put("a", "")
    broker.put("d", "x" * 20)
    assert "d" in broker._states, "what was taken back makes room"
