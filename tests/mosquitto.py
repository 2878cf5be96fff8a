"""A real broker, Debian's mosquitto, that goes away and comes back on the same port; and somebody who listens there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from bramble_protocol.mqtt.address import Address
from bramble_protocol.mqtt.broker import Broker
from tests import ports
from tests.waiting import wait_for

PROGRAM = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


class Mosquitto:
    """A broker on this machine.

    Parameters
    ----------
    folder
        Where its files go.
    lines
        More of its configuration.
    host
        Where it listens.
    inside
        What begins a command that is to run where it is.
    """

    def __init__(self, folder: Path, *lines: str, host: str = "127.0.0.1", inside: Sequence[str] = ()) -> None:
        assert Path(PROGRAM).exists(), "there is no mosquitto: apt-get install mosquitto"
        self.port = ports.kept()
        self._file = folder / "mosquitto.conf"
        rules = () if any(line.startswith("allow_anonymous") for line in lines) else ("allow_anonymous true",)
        self._file.write_text("\n".join((f"listener {self.port} {host}", "user root", *rules, *lines)) + "\n")
        self._log = folder / "mosquitto.log"
        self._host, self._inside = host, inside
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Mosquitto:
        """Begin, or come back with nothing of what it was told before."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*self._inside, PROGRAM, "-c", str(self._file)], stdout=log, stderr=log)
        wait_for(lambda: " running" in self._log.read_text(), "mosquitto to listen")
        return self

    def hears(self, topic: str, count: int, user: str, password: str) -> list[str]:
        """Return so many messages, by a listener that runs where the broker does: each its topic, a blank, and what was said."""
        command = ["mosquitto_sub", "-h", self._host, "-p", str(self.port), "-u", user, "-P", password, "-t", topic, "-v", "-C", str(count)]
        done = subprocess.run([*self._inside, *command, "-W", "60"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def stop(self) -> None:
        """Go away."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"mqtt://{self._host}:{self.port}"

    def __enter__(self) -> Mosquitto:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class Listener:
    """Hears what is said at a broker, the newest of each topic; says something there, too."""

    def __init__(self, broker: Mosquitto, pattern: str = "#") -> None:
        self.newest: dict[str, str] = {}
        self.all: list[tuple[str, str]] = []
        self._broker = Broker(Address.parse(broker.url), name="")
        self._broker.hear(pattern, self._take)
        self._broker.start()
        wait_for(lambda: self._broker.up, "the listener to connect")

    def _take(self, topic: str, payload: bytes, kept: bool) -> None:
        self.newest[topic] = payload.decode()
        self.all.append((topic, payload.decode()))

    def says(self, topic: str, payload: str | bytes, retain: bool = False) -> None:
        """Publish something."""
        self._broker._client.publish(topic, payload, 1, retain).wait_for_publish(10)

    def hears(self, topic: str, payload: str | None = None) -> str:
        """Wait until something is said at a topic, or just this; return it."""
        wait_for(
            lambda: topic in self.newest and payload in (None, self.newest[topic]), f"{topic} to be {payload}: {self.newest.get(topic)}"
        )
        return self.newest[topic]

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._broker.stop(1.0)
