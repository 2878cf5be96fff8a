"""One suite over every bus: what a driver may rely on holds wherever it runs."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path

import pytest

from bramble_client.hal import errors
from bramble_client.hal.bus import ATTEMPTS, I2CBus
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.linux import LinuxBus, ReopeningBus
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips.base import Chip, RegisterChip, nack
from bramble_client.hal.sim.scene import Scene
from tests.edge_client.hal.kernel import Kernel
from tests.waiting import wait_for

ADDRESS, EMPTY = 0x48, 0x49


class Memory(RegisterChip):
    """256 registers that keep what is written."""

    name = "memory"
    writable = dict.fromkeys(range(256), 0xFF)

    def __init__(self, scene: Scene, clock: VirtualClock) -> None:
        super().__init__(scene, clock)
        self.failures: list[OSError] = []
        self.transfers = 0
        self.inside = 0
        self.overlapped = False

    def write(self, data: bytes) -> None:
        self.transfers += 1
        self.inside += 1
        self.overlapped |= self.inside > 1
        try:
            if self.failures:
                raise self.failures.pop(0)
            super().write(data)
        finally:
            self.inside -= 1


class Rig:
    """A bus, a way to put chips on it, and the clock that its waits go by."""

    def __init__(self, bus: I2CBus, attach: Callable[[int, Chip], None], clock: VirtualClock, kernel: Kernel | None = None) -> None:
        self.bus, self.attach, self.clock, self.kernel = bus, attach, clock, kernel


@pytest.fixture(params=["simulated", "i2c", "smbus", "refusing", "reopening"])
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: VirtualClock) -> Iterator[Rig]:
    """Every bus there is without hardware; ``refusing`` says that it has I2C_RDWR, and then has not, ``reopening`` is what a board has."""
    if request.param == "simulated":
        simulated = SimulatedBus(clock)
        yield Rig(simulated, simulated.attach, clock)
        return
    kernel = Kernel(tmp_path / "i2c", plain=request.param in ("i2c", "reopening"))
    kernel.claims_plain = request.param != "smbus"
    kernel.install(monkeypatch)
    bus: I2CBus = ReopeningBus(1, clock) if request.param == "reopening" else LinuxBus(1, clock)
    yield Rig(bus, kernel.chips.__setitem__, clock, kernel)
    bus.close()


@pytest.fixture
def memory(rig: Rig, scene: Scene, clock: VirtualClock) -> Memory:
    chip = Memory(scene, clock)
    rig.attach(ADDRESS, chip)
    return chip


def test_it_is_a_bus_by_the_protocol(rig: Rig) -> None:
    assert isinstance(rig.bus, I2CBus)


def test_what_is_written_is_read_back(rig: Rig, memory: Memory) -> None:
    assert rig.bus.transfer(ADDRESS, b"\x10\xab\xcd") == b""
    assert rig.bus.transfer(ADDRESS, b"\x10", 2) == b"\xab\xcd"


def test_a_read_of_one_byte_needs_no_register(rig: Rig, memory: Memory) -> None:
    rig.bus.transfer(ADDRESS, b"\x20\x77")
    rig.bus.transfer(ADDRESS, b"\x20")
    assert rig.bus.transfer(ADDRESS, b"", 1) == b"\x77"


def test_a_block_longer_than_smbus_carries_arrives_whole(rig: Rig, memory: Memory) -> None:
    memory.memory[:] = bytes(range(256))
    assert rig.bus.transfer(ADDRESS, b"\x05", 100) == bytes(range(5, 105))


def test_the_scan_lists_who_answers_and_nobody_else(rig: Rig, memory: Memory, scene: Scene, clock: VirtualClock) -> None:
    rig.attach(0x76, Memory(scene, clock))
    memory.memory[:] = before = bytes(range(256))
    assert rig.bus.scan() == [ADDRESS, 0x76]
    assert memory.memory == before


def test_nobody_there_is_an_error_that_names_the_address(rig: Rig) -> None:
    with pytest.raises(errors.NoAcknowledge, match="nothing answers at 0x49; check the wiring"):
        rig.bus.transfer(EMPTY, b"\x00", 1)


@pytest.mark.parametrize(
    ("number", "kind", "remedy"),
    [
        (errno.EREMOTEIO, errors.NoAcknowledge, "check the wiring, the power and the address"),
        (errno.ENODEV, errors.NoAcknowledge, "check the wiring, the power and the address"),
        (errno.ENXIO, errors.NoAcknowledge, "check the wiring, the power and the address"),
        (errno.ETIMEDOUT, errors.BusTimeout, "take its power away for a moment"),
        (errno.EAGAIN, errors.ArbitrationLost, "look for a second master"),
        (errno.EBUSY, errors.BusBusy, "a kernel driver owns 0x48"),
        (errno.EACCES, errors.PermissionDenied, "add the user to the group i2c"),
        (errno.EPERM, errors.PermissionDenied, "add the user to the group i2c"),
        (errno.ENOENT, errors.NoSuchBus, "enable I2C"),
        (errno.EIO, errors.BusTimeout, "slow the bus down"),
        (errno.EPROTO, errors.BusError, "check the wiring and the kernel's log"),
    ],
)
def test_every_errno_becomes_a_typed_error_with_a_remedy(
    rig: Rig, memory: Memory, number: int, kind: type[errors.BusError], remedy: str
) -> None:
    memory.failures = [OSError(number, os.strerror(number)) for _ in range(ATTEMPTS)]
    with pytest.raises(kind, match=remedy) as caught:
        rig.bus.transfer(ADDRESS, b"\x00\x01")
    assert rig.bus.name in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


def test_a_passing_failure_is_tried_again(rig: Rig, memory: Memory) -> None:
    memory.failures = [nack(), OSError(errno.ETIMEDOUT, "timed out")]
    rig.bus.transfer(ADDRESS, b"\x10\x55")
    assert memory.memory[0x10] == 0x55
    assert memory.transfers == 3


def test_retries_are_bounded_and_wait_a_little_longer_each_time(rig: Rig, memory: Memory) -> None:
    memory.failures = [nack() for _ in range(10)]
    with pytest.raises(errors.NoAcknowledge):
        rig.bus.transfer(ADDRESS, b"\x10\x55")
    assert memory.transfers == ATTEMPTS
    assert 0.0015 <= rig.clock.monotonic() <= 0.0045


def test_waits_differ_so_that_two_masters_do_not_keep_colliding(rig: Rig, memory: Memory) -> None:
    waits = set()
    for _ in range(5):
        memory.failures = [nack()]
        before = rig.clock.monotonic()
        rig.bus.transfer(ADDRESS, b"\x10\x55")
        waits.add(round(rig.clock.monotonic() - before, 9))
    assert len(waits) == 5


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EACCES, errno.ENOENT])
def test_what_a_retry_cannot_mend_is_not_retried(rig: Rig, memory: Memory, number: int) -> None:
    memory.failures = [OSError(number, os.strerror(number))]
    with pytest.raises(errors.BusError):
        rig.bus.transfer(ADDRESS, b"\x10\x55")
    assert memory.transfers == 1
    assert rig.clock.monotonic() == 0


@pytest.mark.parametrize("address", [0x00, 0x07, 0x78, 0x176, -1])
def test_a_reserved_address_is_refused_before_the_bus_is_touched(rig: Rig, address: int) -> None:
    with pytest.raises(ValueError, match="is reserved: a device has one from 0x08 to 0x77"):
        rig.bus.transfer(address, b"\x00", 1)


@pytest.mark.parametrize(("write", "read"), [(b"", -1), (b"", 8193), (bytes(8193), 0)])
def test_an_absurd_length_is_refused(rig: Rig, write: bytes, read: int) -> None:
    with pytest.raises(ValueError, match="at most 8192 bytes each way"):
        rig.bus.transfer(ADDRESS, write, read)


def test_threads_never_meet_inside_a_transfer(rig: Rig, memory: Memory) -> None:
    wrong: list[bytes] = []

    def work(register: int) -> None:
        for value in range(150):
            rig.bus.transfer(ADDRESS, bytes((register, value)))
            data = rig.bus.transfer(ADDRESS, bytes((register,)), 1)
            if data != bytes((value,)):
                wrong.append(data)

    threads = [threading.Thread(target=work, args=(register,)) for register in range(0x10, 0x16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert not memory.overlapped


def test_a_closed_bus_says_so_and_closes_twice(rig: Rig, memory: Memory) -> None:
    rig.bus.close()
    rig.bus.close()
    with pytest.raises(errors.BusClosed, match="is closed; open it again"):
        rig.bus.transfer(ADDRESS, b"\x00", 1)
    with pytest.raises(errors.BusClosed, match="is closed; open it again"):
        rig.bus.scan()


def test_a_transfer_that_is_not_supported_spoils_none_but_itself(rig: Rig, memory: Memory) -> None:
    memory.memory[:] = bytes(range(256))
    before = _carried(lambda: rig.bus.transfer(ADDRESS, b"", 100)) is None
    memory.failures = [OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))]
    assert _carried(lambda: rig.bus.transfer(ADDRESS, b"\x05", 100)) in (None, bytes(range(5, 105))), "carried otherwise, or refused"
    memory.failures.clear()
    afterwards = _carried(lambda: rig.bus.transfer(ADDRESS, b"", 100)) is None
    assert afterwards == before, "the adapter can do what it could"


def test_a_queue_is_never_cut_into_pieces_by_a_transfer_that_is_not_supported(rig: Rig, memory: Memory) -> None:
    memory.failures = [OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))]
    with pytest.raises(errors.UnsupportedTransfer):
        rig.bus.transfer(ADDRESS, b"\x05", 100, once=True)


def test_transfers_with_two_chips_never_meet_the_wrong_one(rig: Rig, memory: Memory, scene: Scene, clock: VirtualClock) -> None:
    """Whichever kernel calls carry them: some set the address for themselves, some take the one that was set before."""
    other = Memory(scene, clock)
    rig.attach(0x50, other)
    memory.memory[:], other.memory[:] = bytes([1] * 256), bytes([2] * 256)
    for _ in range(2):
        rig.bus.scan()
        for address, value in ((ADDRESS, 1), (0x50, 2), (ADDRESS, 1)):
            assert rig.bus.transfer(address, b"\x10", 2) == bytes([value] * 2)
            memory.failures = [OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))]
            assert _carried(lambda at=address: rig.bus.transfer(at, b"\x10", 2)) in (None, bytes([value] * 2))  # type: ignore[misc]
            memory.failures.clear()


def test_a_kernel_driver_that_binds_later_is_noticed_and_so_is_its_leaving(rig: Rig, memory: Memory) -> None:
    rig.bus.transfer(ADDRESS, b"\x10\x55")
    if rig.kernel is None:
        return  # a simulated bus has no kernel, and no drivers in it
    rig.kernel.owned.add(ADDRESS)
    with pytest.raises(errors.BusBusy, match="a kernel driver owns 0x48; unload it"):
        rig.bus.transfer(ADDRESS, b"\x10", 1)
    rig.kernel.owned.clear()
    assert rig.bus.transfer(ADDRESS, b"\x10", 1) == b"\x55"


def test_a_bus_that_went_away_while_nobody_used_it_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sensors may be read once an hour, and the kernel would wait, with all that is plugged in after it."""
    kernel = Kernel(tmp_path / "i2c")
    kernel.install(monkeypatch)
    bus = ReopeningBus(1, look=0.01)
    bus.scan()
    assert kernel.held == 1
    kernel.pull_out()
    wait_for(lambda: kernel.held == 0, "the device file to be closed")
    kernel.plug_in()
    assert bus.scan() == []
    assert kernel.held == 1
    bus.close()
    assert bus._watcher is not None
    bus._watcher.join(30)
    assert not bus._watcher.is_alive()


@pytest.mark.parametrize("first", ["a transfer", "a scan"])
def test_a_bus_that_went_away_is_let_go_and_is_back_when_it_is_back(rig: Rig, memory: Memory, first: str) -> None:
    """The kernel holds an adapter that is gone until everybody has closed its file."""
    if not isinstance(rig.bus, ReopeningBus) or rig.kernel is None:
        return  # what a board does not keep is opened anew by whoever needs it
    rig.bus.transfer(ADDRESS, b"\x10\x55")
    rig.kernel.pull_out()
    if first == "a scan":
        assert rig.bus.scan() == []
    else:
        with pytest.raises(errors.NoAcknowledge):
            rig.bus.transfer(ADDRESS, b"\x10", 1)
    assert rig.kernel.held == 0
    with pytest.raises(errors.NoSuchBus):
        rig.bus.transfer(ADDRESS, b"\x10", 1)
    rig.kernel.plug_in()
    assert rig.bus.transfer(ADDRESS, b"\x10", 1) == b"\x55"


def _carried(transfer: Callable[[], bytes]) -> bytes | None:
    """Return what a transfer brings, or None if the adapter cannot carry it."""
    try:
        return transfer()
    except errors.UnsupportedTransfer:
        return None


@pytest.mark.skipif(not glob("/dev/i2c-*"), reason="this machine has no /dev/i2c-N")
def test_the_real_bus_scans_and_refuses_an_empty_address() -> None:
    path = sorted(glob("/dev/i2c-*"))[0]
    bus = LinuxBus(path)
    try:
        there = bus.scan()
        empty = next(address for address in range(0x77, 0x07, -1) if address not in there)
        with pytest.raises(errors.BusError, match=path):
            bus.transfer(empty, b"\x00", 1)
    finally:
        bus.close()
