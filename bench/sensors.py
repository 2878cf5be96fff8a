"""What reading a sensor costs, whether fast ones are read in time, and what the recorder asks of an SD card."""

from __future__ import annotations

import random
import resource
import shutil
import sqlite3
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.power_cut import Trace, after_cut, trace
from bench.table import Row
from bramble_client.hal.clock import SystemClock, VirtualClock
from bramble_client.hal.drivers.bme280 import BME280
from bramble_client.hal.drivers.mpu6050 import MPU6050
from bramble_client.hal.readings import Reading
from bramble_client.hal.sampler import Sampler
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips import bme280, mpu6050
from bramble_client.hal.sim.scene import Scene
from bramble_client.hal.sim.world import Synthetic
from bramble_client.hal.stream import Stream

START = 1_683_000_000.0
IMU_HZ, IMU_S = 200.0, 60.0
RECORDED_S, COMMIT_S = 3600, 10
CUTS = 300
RUNS = 50


def main() -> list[Row]:
    """Measure all of it; takes a little over a minute."""
    return [*_reading(), *_motion(), *_recording()]


def _reading() -> list[Row]:
    clock = VirtualClock()
    scene = Scene(Synthetic("bench"), clock)
    scene.pin(START)
    bus = SimulatedBus(clock)
    bus.attach(0x76, bme280.BME280(scene, clock))
    driver = BME280(bus, 0x76, clock)
    driver.setup()
    whole = _median(driver.read, 200)
    driver.bus = canned = _Canned(bus)
    driver.read()
    canned.replaying = True
    own = _median(driver.read, 500)
    return [
        Row("one BME280 read, driver and simulated chip", whole * 1000, "ms", 0.5, f"CPU time, median of {RUNS} runs"),
        Row("the driver's own share, over a fake bus", own * 1e6, "µs", 60, f"CPU time, median of {RUNS} runs"),
    ]


class _Canned:
    """Gives the answer that the simulated bus gave to the same request: what is left is the driver's time."""

    name = "a fake bus"

    def __init__(self, bus: SimulatedBus) -> None:
        self._bus, self._answers, self.replaying = bus, dict[bytes, bytes](), False
        self._flip = 0

    def transfer(self, address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        if not self.replaying:
            self._answers[write] = self._bus.transfer(address, write, read)
        if read > 4:
            # The last digit of the pressure differs from measurement to measurement, as a real chip's does; the driver reads each twice
            answer = bytearray(self._answers[write])
            answer[7] = answer[7] & 0x0F | (self._flip // 2 % 16) << 4
            self._flip += 1
            return bytes(answer)
        return self._answers[write]

    def scan(self) -> list[int]:
        return self._bus.scan()

    def close(self) -> None:
        self._bus.close()


def _median(action: Callable[[], object], count: int) -> float:
    """Return the seconds of computing that one call takes: the median over many runs, without what other programs take meanwhile."""
    runs = []
    for _ in range(RUNS):
        begin = time.process_time()
        for _ in range(count):
            action()
        runs.append((time.process_time() - begin) / count)
    return statistics.median(runs)


def _motion() -> list[Row]:
    """Stream six channels in real time; a sample is on time if it is there and dated within its own period."""
    clock = SystemClock()
    scene = Scene(Synthetic("bench"), clock)
    scene.follow(START)
    bus = SimulatedBus(clock)
    chip = mpu6050.MPU6050(scene, clock)
    bus.attach(0x68, chip)
    made: dict[bytes, float] = {}
    convert = chip.convert

    def noted(at: float) -> None:
        convert(at)
        made[bytes(chip.memory[0x3B:0x41] + chip.memory[0x43:0x49])] = at  # six noisy numbers: no two conversions are alike

    chip.convert = noted  # type: ignore[method-assign]
    taken: list[Reading] = []
    stream = Stream(MPU6050(bus, 0x68, clock), IMU_HZ, simulated=True)
    sampler = Sampler([(stream, 0.1)], taken.extend, clock)
    before = resource.getrusage(resource.RUSAGE_SELF)
    sampler.start()
    threading.Event().wait(IMU_S)
    sampler.stop()
    after = resource.getrusage(resource.RUSAGE_SELF)
    errors = _errors(taken, made)
    on_time = sum(abs(error) <= 1 / IMU_HZ for error in errors)
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / IMU_S
    expected = len(made) - 25  # what is still in the queue when sampling ends
    note = f"{len(errors):,} of {expected:,.0f} samples, median error of the stamp {statistics.median(map(abs, errors)) * 1000:.1f} ms"
    return [
        Row("six IMU channels at 200 Hz for 60 s: on time", min(on_time / expected, 1.0) * 100, "%", 99.5, note, bound="at least"),
        Row(
            "CPU meanwhile, the simulated chip included",
            cpu * 100,
            "% of a core",
            10,
            f"{sampler.stats['mpu6050'].missed} deadlines missed",
        ),
    ]


def _errors(taken: list[Reading], made: dict[bytes, float]) -> list[float]:
    """Return how far the stamp of each sample is from the time of its conversion."""
    samples: dict[int, list[Reading]] = {}
    for reading in taken:
        samples.setdefault(reading.sequence, []).append(reading)
    errors = []
    for readings in samples.values():
        scales = [4 * 9.80665 / 32768] * 3 + [500 / 32750] * 3  # sections 4.17 and 4.19, at 4 g and 500 degrees a second
        raw = [round((reading.value or 0.0) / scale) for reading, scale in zip(readings, scales, strict=True)]
        at = made.get(struct.pack(">6h", *raw))
        if at is not None:
            errors.append(readings[0].monotonic - at)
    return errors


RECORD = """
import os
from pathlib import Path
from bramble_client.acquire.recorder import Recorder
from bramble_client.hal.clock import VirtualClock
now = VirtualClock()
clock = open({clock!r}, "wb", buffering=0)
store = Recorder(Path({path!r}), 1_000_000, {commit}, now)
for second in range({seconds}):
    now.advance(1.0)
    clock.write(b"%d" % second)
    store.append(float(second), {{"temperature": 20.0 + second, "humidity": 50.0, "pressure": 1000.0}})
os._exit(0)
"""


def _recording() -> list[Row]:
    """Record at 1 Hz, count the flushes, and cut the power at many points."""
    if shutil.which("strace") is None:
        return []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "store")
        folder.mkdir()
        done = trace(
            RECORD.format(path=str(folder / "samples.db"), clock=str(folder / "clock"), commit=COMMIT_S, seconds=RECORDED_S), folder
        )
        corrupt, lost = _cut(done, Path(name))
    begin = next(i for i, operation in enumerate(done.operations) if operation[0] == "clock")
    flushes = Trace(done.operations[begin:]).flushes  # without those that create the store
    return [
        Row("recorder at 1 Hz: flushes in 10 s", flushes / (RECORDED_S / 10), "", 1, f"{flushes} in {RECORDED_S} s"),
        Row("corrupt stores after a power cut", corrupt, "", 0, f"{CUTS} cuts at random points of the writing, sectors torn"),
        Row("readings lost in a power cut", lost, "s", 10, "the most of them"),
    ]


def _cut(done: Trace, folder: Path) -> tuple[int, int]:
    """Return how many cuts left a corrupt store, and the most seconds that one cost."""
    rng = random.Random(0)
    corrupt, lost = 0, 0
    for number in range(CUTS):
        upto = rng.randrange(1, len(done.operations) + 1)
        target = folder / f"cut{number}"
        target.mkdir()
        after_cut(done, upto, target, rng)
        try:
            with sqlite3.connect(target / "samples.db") as db:
                sound = db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
                times = [row[0] for row in db.execute("SELECT t FROM samples ORDER BY t")]
            db.close()
            sound = sound and times == [float(i) for i in range(len(times))]
        except sqlite3.OperationalError as error:  # no table yet: cut before the first commit
            sound, times = "no such table" in str(error), []
        except sqlite3.DatabaseError:
            sound, times = False, []
        corrupt += not sound
        seconds = [int(data) for name, _, _, data in done.operations[:upto] if name == "clock"]
        lost = max(lost, len(seconds) - len(times))
        shutil.rmtree(target)
    return corrupt, lost
