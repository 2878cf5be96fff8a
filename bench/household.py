"""What does a household's broker cost a client? How soon a reading is there, memory with it, and memory while it is away for an hour."""

from __future__ import annotations

import random
import re
import statistics
import tempfile
import time
import tracemalloc
from functools import partial
from pathlib import Path

from bench.table import Row
from bramble_client.deliver.home_assistant import HomeAssistant, Own
from bramble_client.settings import ClientSettings
from bramble_protocol.messages import Channel

# isort: split
from tests import ports
from tests.edge_client.process import ClientProcess
from tests.mosquitto import Listener, Mosquitto
from tests.waiting import wait_for

READINGS, SETTLED_S, HOUR = 60, 30.0, 3600
CHANNELS = (Channel("temperature", "°C"), Channel("humidity", "%"), Channel("pressure", "hPa"))
LATE_S, MEMORY_MB, AWAY_MB = 1.0, 3.0, 1.0


def main() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Mosquitto(folder) as broker:
            late = _seconds_until_there(broker)
            without, told = (_megabytes(folder, flags) for flags in ((), ("--mqtt", broker.url)))
        kept, slowest = _away(broker)
    return [
        Row("a reading reaches a listener at the broker, median", statistics.median(late), "s"),
        Row(f"the same, the slowest of {READINGS}", max(late), "s", LATE_S, "at random moments; told twice a second"),
        Row("a client's memory with --mqtt, beyond that without", told - without, "MB PSS", MEMORY_MB, f"{without:.1f} MB PSS without"),
        Row("memory kept for a broker that is away for an hour", kept, "MB", AWAY_MB, "3 channels, a reading a second"),
        Row("a sample waits for a broker that is away, at most", slowest * 1000, "ms"),
    ]


def _home(broker: Mosquitto) -> HomeAssistant:
    own: Own = ((False, {"gone": [], "doubted": []}), (True, None), (False, None))
    return HomeAssistant(ClientSettings(id="bench", sensors="mock", mqtt=broker.url), CHANNELS, 1.0, lambda: own)


def _seconds_until_there(broker: Mosquitto) -> list[float]:
    chance, found, home = random.Random(1), list[float](), _home(broker)
    with Listener(broker) as there:
        home.start()
        there.hears("bramble/bench/availability", "online")
        for number in range(READINGS):
            time.sleep(chance.uniform(0.5, 1.5))
            began = time.perf_counter()
            home.measured({"temperature": float(number)})
            wait_for(partial(_is_there, there, f"{number}"), "the reading", every=0.001)
            found.append(time.perf_counter() - began)
    home.stop(1.0)
    return found


def _is_there(there: Listener, state: str) -> bool:
    return there.newest.get("bramble/bench/temperature") == state


def _megabytes(folder: Path, flags: tuple[str, ...]) -> float:
    """Return the memory of a client that samples each second, once it has done so for a while."""
    nobody = f"http://127.0.0.1:{ports.kept()}"
    with ClientProcess(nobody, folder, "--mode", "private", "--sample-every", "1", *flags, name=f"client-{len(flags)}") as client:
        time.sleep(SETTLED_S)
        rollup = Path(f"/proc/{client.process.pid}/smaps_rollup").read_text()
        client.stop()
    pss = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    assert pss is not None
    return int(pss[1]) * 1024 / 1e6


def _away(broker: Mosquitto) -> tuple[float, float]:
    """Return the megabytes that an hour's readings leave while nobody takes them, and how long the slowest of them waited."""
    home, slowest = _home(broker), 0.0
    home.start()
    home.measured(dict.fromkeys((channel.key for channel in CHANNELS), 0.0))
    time.sleep(2.0)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for second in range(HOUR):
        began = time.perf_counter()
        home.measured({channel.key: second + number / 7 for number, channel in enumerate(CHANNELS)})
        slowest = max(slowest, time.perf_counter() - began)
        time.sleep(0.001)
    kept = (tracemalloc.get_traced_memory()[0] - before) / 1e6
    tracemalloc.stop()
    home.stop(1.0)
    return kept, slowest
