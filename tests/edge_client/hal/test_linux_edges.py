"""The kernel's bus at its limits: what SMBus calls just carry, what a scan touches, a bus that comes and goes."""

from __future__ import annotations

import errno
import fcntl

import pytest
import smbus2.smbus2 as smbus

from bramble_client.hal import errors
from bramble_client.hal.bus import FIRST_ADDRESS, LAST_ADDRESS, MAX_TRANSFER
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.mpu6050 import MPU6050 as Driver
from bramble_client.hal.linux import LOCK_S, LinuxBus, ReopeningBus
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips.base import RegisterChip
from bramble_client.hal.sim.chips.mpu6050 import MPU6050
from bramble_client.hal.sim.scene import Scene
from tests.edge_client.hal.bench import WORLD
from tests.edge_client.hal.kernel import Kernel, holds_lock


class Memory(RegisterChip):
    """256 registers that keep what is written."""

    name = "memory"
    writable = dict.fromkeys(range(256), 0xFF)


@pytest.fixture
def kernel(kernel: Kernel, scene: Scene, clock: VirtualClock) -> Kernel:
    kernel.chips[0x50] = Memory(scene, clock)
    return kernel


@pytest.fixture
def bus(kernel: Kernel, clock: VirtualClock) -> LinuxBus:
    return LinuxBus(1, clock)


@pytest.mark.parametrize("address", [FIRST_ADDRESS, LAST_ADDRESS])
def test_the_first_and_the_last_address_are_addresses(bus: SimulatedBus, scene: Scene, clock: VirtualClock, address: int) -> None:
    simulated = SimulatedBus(clock)
    simulated.attach(address, Memory(scene, clock))
    assert simulated.transfer(address, b"\x10", 2) == bytes(2)
    assert simulated.scan() == [address]


def test_the_largest_transfer_is_carried(scene: Scene, clock: VirtualClock) -> None:
    simulated = SimulatedBus(clock)
    simulated.attach(0x50, Memory(scene, clock))
    assert len(simulated.transfer(0x50, b"\x00", MAX_TRANSFER)) == MAX_TRANSFER
    assert simulated.transfer(0x50, bytes(MAX_TRANSFER)) == b""


def test_the_longest_write_that_smbus_carries_has_32_bytes_after_the_register(kernel: Kernel, bus: LinuxBus) -> None:
    kernel.plain = False
    bus.transfer(0x50, bytes((0x10, *range(1, 33))))
    assert bus.transfer(0x50, b"\x10", 32) == bytes(range(1, 33))
    with pytest.raises(errors.UnsupportedTransfer):
        bus.transfer(0x50, bytes(34))


def test_a_block_over_smbus_may_end_at_the_last_register_and_not_beyond(kernel: Kernel, bus: LinuxBus) -> None:
    kernel.plain = False
    bus.transfer(0x50, b"\xff\x77")
    assert bus.transfer(0x50, b"\xd8", 40)[-1] == 0x77
    with pytest.raises(errors.UnsupportedTransfer):
        bus.transfer(0x50, b"\xd9", 40)
    assert len(bus.transfer(0x50, b"\xf0", 32)) == 32, "one call leaves the pointer to the chip"


def test_a_write_of_a_pointer_alone_is_carried_over_smbus(kernel: Kernel, bus: LinuxBus) -> None:
    kernel.plain = False
    bus.transfer(0x50, b"\x20\x31\x32")
    bus.transfer(0x50, b"\x21")
    assert bus.transfer(0x50, b"", 1) == b"\x32"


def test_a_scan_reads_from_nobody_who_acknowledges_a_quick_command(kernel: Kernel, bus: LinuxBus) -> None:
    kernel.chips[0x50].read = lambda length: pytest.fail("a read moves a pointer, or clears a flag")  # type: ignore[method-assign]
    assert bus.scan() == [0x50]
    assert smbus.I2C_RDWR not in kernel.requests


def test_a_scan_of_a_simulated_bus_reads_from_nobody_either(scene: Scene, clock: VirtualClock) -> None:
    simulated, chip = SimulatedBus(clock), Memory(scene, clock)
    simulated.attach(0x50, chip)
    chip.read = lambda length: pytest.fail("a read moves a pointer, or clears a flag")  # type: ignore[method-assign]
    assert simulated.scan() == [0x50]


def test_an_adapter_without_quick_commands_reads_each_address_once(kernel: Kernel, bus: LinuxBus) -> None:
    kernel.quick = False
    bus.scan()
    assert kernel.requests.count(smbus.I2C_RDWR) == LAST_ADDRESS - FIRST_ADDRESS + 1


@pytest.mark.parametrize(("number", "kind"), [(errno.EACCES, errors.PermissionDenied), (errno.ENOENT, errors.NoSuchBus)])
def test_a_scan_of_a_bus_that_may_not_be_used_finds_no_empty_bus_but_says_so(
    kernel: Kernel, bus: LinuxBus, number: int, kind: type[errors.BusError]
) -> None:
    def refuse(data: bytes) -> None:
        raise OSError(number, "refused")

    kernel.chips[0x50].write = refuse  # type: ignore[method-assign]
    with pytest.raises(kind) as caught:
        bus.scan()
    assert isinstance(caught.value.__cause__, OSError)


def test_another_process_is_waited_for_until_it_lets_go(kernel: Kernel, bus: LinuxBus, clock: VirtualClock) -> None:
    release = holds_lock(kernel.file)
    sleep = clock.sleep

    def let_go(seconds: float) -> None:
        sleep(seconds)
        if clock.monotonic() > LOCK_S / 2:
            release_once()

    released: list[bool] = []

    def release_once() -> None:
        if not released:
            released.append(True)
            release()

    clock.sleep = let_go  # type: ignore[method-assign]
    assert bus.transfer(0x50, b"\x00", 1) == b"\x00"
    assert LOCK_S / 2 < clock.monotonic() < LOCK_S


def test_the_device_is_locked_during_a_transfer_and_only_then(kernel: Kernel, bus: LinuxBus) -> None:
    def free() -> bool:
        with kernel.file.open("rb") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    seen: list[bool] = []
    original = kernel.chips[0x50].write
    kernel.chips[0x50].write = lambda data: (seen.append(free()), original(data))[1]  # type: ignore[method-assign]
    bus.transfer(0x50, b"\x00", 1)
    assert seen == [False]
    assert free()


def test_a_closed_device_is_closed_once(kernel: Kernel, bus: LinuxBus, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []
    monkeypatch.setattr(smbus.SMBus, "close", lambda self: closed.append(1))
    bus.close()
    assert closed == [1]
    bus.close()
    assert closed == [1]


def test_a_bus_can_be_named_by_its_path(kernel: Kernel) -> None:
    assert LinuxBus("/dev/i2c-5").name == "/dev/i2c-5"
    assert LinuxBus(5).name == "/dev/i2c-5"


def test_a_reopening_bus_is_a_bus_that_opens_when_it_is_used(kernel: Kernel) -> None:
    bus = ReopeningBus(1)
    assert bus.name == "/dev/i2c-1"
    assert kernel.requests == []
    assert bus.transfer(0x50, b"\x00", 1) == b"\x00"
    assert bus.scan() == [0x50]
    assert kernel.requests.count(smbus.I2C_FUNCS) == 1, "opened once"
    device = bus._bus
    bus.close()
    for closed in (bus, device):
        assert closed is not None
        with pytest.raises(errors.BusClosed):
            closed.transfer(0x50, b"\x00", 1)


def test_a_reopening_bus_that_was_closed_before_its_first_use_stays_closed(kernel: Kernel) -> None:
    bus = ReopeningBus(1)
    bus.close()
    bus.close()
    with pytest.raises(errors.BusClosed, match="/dev/i2c-1 is closed"):
        bus.transfer(0x50, b"\x00", 1)
    assert kernel.requests == []


def test_a_failure_does_not_reopen_a_bus_that_is_still_there(kernel: Kernel) -> None:
    bus = ReopeningBus(1)
    with pytest.raises(errors.NoAcknowledge):
        bus.transfer(0x51, b"\x00", 1)
    bus.transfer(0x50, b"\x00", 1)
    assert kernel.requests.count(smbus.I2C_FUNCS) == 1


def test_a_bus_whose_device_has_gone_is_let_go_and_opened_again_when_it_is_back(kernel: Kernel) -> None:
    bus = ReopeningBus(1)
    bus.transfer(0x50, b"\x00", 1)
    first = bus._bus
    chip = kernel.chips.pop(0x50)
    kernel.missing = {"/dev/i2c-1"}
    with pytest.raises(errors.NoAcknowledge):
        bus.transfer(0x50, b"\x00", 1)
    assert first is not None
    with pytest.raises(errors.BusClosed):
        first.transfer(0x50, b"\x00", 1)
    with pytest.raises(errors.NoSuchBus):
        bus.transfer(0x50, b"\x00", 1)
    kernel.missing, kernel.chips[0x50] = set(), chip
    assert bus.transfer(0x50, b"\x00", 1) == b"\x00"
    bus.close()


@pytest.mark.parametrize("plain", [True, False])
def test_a_queue_is_read_in_one_piece_or_not_at_all(kernel: Kernel, bus: LinuxBus, scene: Scene, clock: VirtualClock, plain: bool) -> None:
    """Cut into blocks of 32, as registers are over SMBus, the second block would come from other registers than the queue's."""
    scene.pin(0.0)
    scene._values = dict(WORLD)
    kernel.plain = plain
    kernel.chips[0x68] = MPU6050(scene, clock)
    driver = Driver(bus, None, clock)
    driver.start(200.0)
    clock.sleep(0.05)
    if plain:
        assert {round(item.values["acceleration_x"], 0) for item in driver.drain()} == {0.0}
    else:
        with pytest.raises(errors.UnsupportedTransfer, match="use another bus for this sensor"):
            driver.drain()
        assert len(bus.transfer(0x68, b"\x3b", 40)) == 40, "registers are read as before"
