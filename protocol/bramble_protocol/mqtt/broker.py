"""A connection to a broker that comes back by itself, and what is known to be the newest state of each topic.

Nothing is queued. A topic has one state, the newest, and at most one message of it is under way; what changed while the broker was away is
sent once it is back. So a broker that is down for an hour costs no memory beyond the states, and nobody who has something to tell waits.
"""

from __future__ import annotations

import logging
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bramble_protocol.mqtt.address import Address, BrokerError, Login, tls_context

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

log = logging.getLogger(__name__)

KEEPALIVE_S = 30
"""A broker that hears nothing for half as long again says that this one is gone."""
LONGEST_PAUSE_S = 60
"""Between two attempts to connect; the first comes after a second, and each pause is twice the one before."""
MOST = 500_000
"""Characters of topics and states that are kept at most."""
Heard = Callable[[str, bytes, bool], None]
"""Takes a topic, what was said there, and whether the broker had kept it from before; called by the connection's thread."""


class Broker:
    """A connection to a broker.

    Parameters
    ----------
    address
        Where it is.
    login
        Who one is there; nobody in particular if None.
    tls
        Verifies it, for ``mqtts``.
    name
        What the broker calls this connection: one at a time has a name, so it is to be unique.
    last_will
        Topic and payload that the broker publishes, and keeps, when this connection ends without a word.
    wake
        Called, by the connection's thread, when there may be something to ``flush``.
    login_setting
        What a refusal names as the place of user and password.

    Raises
    ------
    BrokerError
        If paho-mqtt is not installed.
    """

    def __init__(
        self,
        address: Address,
        login: Login | None = None,
        tls: ssl.SSLContext | None = None,
        *,
        name: str,
        last_will: tuple[str, str] | None = None,
        wake: Callable[[], None] = lambda: None,
        login_setting: str = "--mqtt-login",
    ) -> None:
        self.address = address
        self.trouble: str | None = "it has not answered yet"
        """Why it cannot be used now, or None while it can."""
        self._wake, self._login_setting = wake, login_setting
        self._lock = threading.Lock()
        self._states: dict[str, str] = {}
        self._dirty: dict[str, None] = {}
        self._size, self._full = 0, False
        self._under_way: dict[str, MQTTMessageInfo] = {}
        self._heard: dict[str, list[Heard]] = {}
        self._leaving, self._ended = False, threading.Event()
        self._client = self._made(name)
        if login is not None:
            self._client.username_pw_set(*login)
        if address.encrypted:
            self._client.tls_set_context(tls or tls_context(None, ""))
        if last_will is not None:
            self._client.will_set(*last_will, qos=1, retain=True)

    def _made(self, name: str) -> Client:
        try:
            from paho.mqtt import client as paho
            from paho.mqtt.enums import CallbackAPIVersion
        except ModuleNotFoundError as error:
            raise BrokerError(f"{error.name} is not installed; get it with: pip install 'bramble-fl[mqtt]'") from error
        # What wakes its thread are two ends of a TCP connection over loopback, which a client's unit may not listen for
        paho._socketpair_compat = _pair
        client = paho.Client(CallbackAPIVersion.VERSION2, name)
        # nor may it choose from which port it connects, as paho-mqtt does
        client._create_socket_connection = lambda: socket.create_connection(self.address[:2], 10.0)  # type: ignore[method-assign]
        client.reconnect_delay_set(1, LONGEST_PAUSE_S)
        client.connect_timeout = 10.0
        client.on_connect = self._came_up
        client.on_connect_fail = lambda client, userdata: self._failed(sys.exception())
        client.on_disconnect = self._went
        client.on_message = self._take
        client.on_publish = lambda *told: self._wake()  # called while paho holds a lock that publishing takes: no more than this here
        return client

    @property
    def up(self) -> bool:
        """Whether it is connected."""
        return self.trouble is None

    @property
    def alive(self) -> bool:
        """Whether the thread runs that connects, sends and hears; paho-mqtt does not start one that an error has ended anew."""
        thread: threading.Thread | None = self._client._thread
        return thread is not None and thread.is_alive()

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._client.connect_async(self.address.host, self.address.port, KEEPALIVE_S)
        self._client.loop_start()

    def stop(self, timeout: float) -> None:
        """End, once all states have arrived, or after so many seconds. The owner's thread has ended, so nobody else flushes."""
        until = time.monotonic() + timeout
        self.flush()
        while self.up and time.monotonic() < until and (self._dirty or not all(map(self._arrived, self._under_way))):
            time.sleep(0.01)
            self.flush()
        connected, self._leaving = self.up, True
        self._client.disconnect()
        if connected:
            self._ended.wait(max(0.0, until - time.monotonic()))

    def put(self, topic: str, state: str) -> None:
        """Have a topic's state told as soon as the broker can be reached; the empty one takes it back. Does not block."""
        with self._lock:
            if self._states.get(topic) == state:
                return
            size = self._size + len(state) - len(self._states[topic]) if topic in self._states else self._size + len(topic) + len(state)
            if size > MOST:
                if not self._full:
                    log.error("more is to be told to %s than fits into %d characters; what is new of it is left out", self.address, MOST)
                self._full = True
                return
            self._size, self._states[topic] = size, state
            self._dirty[topic] = None

    def flush(self) -> None:
        """Send the states that changed; one thread alone may call this. Does not wait for the broker."""
        if not self.up:
            return
        with self._lock:
            due = [(topic, self._states[topic]) for topic in self._dirty if self._arrived(topic)]
            for topic, _ in due:
                del self._dirty[topic]
        for topic, state in due:
            info = self._client.publish(topic, state, qos=1, retain=True)
            if info.rc == 0:
                self._under_way[topic] = info
            else:  # the connection ended just now
                with self._lock:
                    self._dirty[topic] = None

    def _arrived(self, topic: str) -> bool:
        """Say whether nothing of a topic is under way."""
        info = self._under_way.get(topic)
        return info is None or info.is_published()

    def hear(self, topic: str, heard: Heard) -> None:
        """Subscribe to a topic, or a pattern of such; before ``start``."""
        self._heard.setdefault(topic, []).append(heard)

    def _came_up(self, client: Client, userdata: object, flags: object, reason: Any, properties: object) -> None:
        if reason.is_failure:
            remedy = f"; see {self._login_setting}" if "authori" in str(reason).lower() or "password" in str(reason).lower() else ""
            self._failed(f"it refuses this connection: {reason}{remedy}")
            return
        log.info("connected to the broker %s", self.address)
        self.trouble = None
        for topic in self._heard:
            client.subscribe(topic, 1)
        with self._lock:  # it may have begun anew, and have forgotten all
            self._dirty |= dict.fromkeys(self._states)
        self._wake()

    def _failed(self, why: object) -> None:
        if self.up or str(why) != self.trouble:
            log.warning("the broker %s cannot be used (%s); trying again until it can", self.address, why)
        self.trouble = str(why)

    def _went(self, client: Client, userdata: object, flags: object, reason: Any, properties: object) -> None:
        self._ended.set()
        if self.up:  # else it was refused, and that is said
            if self._leaving:
                self.trouble = "it was left"
            else:
                self._failed(f"the connection ended: {reason}")

    def _take(self, client: Client, userdata: object, message: Any) -> None:
        from paho.mqtt.client import topic_matches_sub

        for pattern, takers in self._heard.items():
            if topic_matches_sub(pattern, message.topic):
                for heard in takers:
                    heard(message.topic, message.payload, message.retain)


def _pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected ends that do not block, without a port."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return ends
