"""What only the kernel's bus has: opening, owned addresses, turns between processes, adapters without I2C_RDWR."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest
import smbus2.smbus2 as smbus

from bramble_client.hal import errors
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.linux import LOCK_S, LinuxBus
from bramble_client.hal.sim.chips.bme280 import BME280
from bramble_client.hal.sim.scene import Scene
from tests.edge_client.hal.kernel import Kernel, holds_lock


@pytest.fixture
def kernel(kernel: Kernel, scene: Scene, clock: VirtualClock) -> Kernel:
    kernel.chips[0x76] = BME280(scene, clock)
    return kernel


@pytest.fixture
def bus(kernel: Kernel, clock: VirtualClock) -> Iterator[LinuxBus]:
    bus = LinuxBus(1, clock)
    yield bus
    bus.close()


@pytest.mark.parametrize(
    ("number", "kind", "sentence"),
    [
        (errno.ENOENT, errors.NoSuchBus, r"/dev/i2c-7: there is no such bus; enable I2C"),
        (errno.EACCES, errors.PermissionDenied, r"/dev/i2c-7: no permission to open it; add the user to the group i2c"),
    ],
)
def test_a_bus_that_cannot_be_opened_says_what_to_do(kernel: Kernel, number: int, kind: type[Exception], sentence: str) -> None:
    kernel.open_error = number
    with pytest.raises(kind, match=sentence):
        LinuxBus(7)


def test_an_address_that_a_kernel_driver_owns_is_named(kernel: Kernel, bus: LinuxBus) -> None:
    kernel.owned.add(0x76)
    with pytest.raises(errors.BusBusy, match="a kernel driver owns 0x76"):
        bus.transfer(0x76, b"\xd0", 1)
    assert 0x76 in bus.scan(), "what a kernel driver owns is there, so the scan lists it"


def test_one_transaction_is_one_call_with_a_repeated_start(kernel: Kernel, bus: LinuxBus) -> None:
    bus.transfer(0x76, b"\xd0", 1)
    kernel.requests.clear()
    assert bus.transfer(0x76, b"\xd0", 1) == b"\x60"
    assert kernel.requests == [smbus.I2C_SLAVE, smbus.I2C_RDWR]


def test_an_adapter_that_refuses_a_transfer_is_asked_again_for_the_next(kernel: Kernel, bus: LinuxBus) -> None:
    kernel.plain = False
    assert bus.transfer(0x76, b"\xd0", 1) == b"\x60"
    assert smbus.I2C_SMBUS in kernel.requests
    kernel.plain = True
    kernel.requests.clear()
    assert bus.transfer(0x76, b"\xd0", 1) == b"\x60"
    assert kernel.requests == [smbus.I2C_SLAVE, smbus.I2C_RDWR]


@pytest.mark.parametrize(("write", "read"), [(b"", 6), (b"\xf3\x2d", 3), (bytes(40), 0), (b"\xf0", 40)])
def test_what_smbus_calls_cannot_carry_is_refused_by_name(kernel: Kernel, bus: LinuxBus, write: bytes, read: int) -> None:
    kernel.plain = False
    with pytest.raises(errors.UnsupportedTransfer, match="the adapter cannot carry out this transfer with 0x76; use another bus"):
        bus.transfer(0x76, write, read)


def test_an_adapter_without_quick_commands_is_scanned_by_reading(kernel: Kernel, bus: LinuxBus) -> None:
    kernel.quick = False
    assert bus.scan() == [0x76]


def test_a_short_smbus_block_is_a_short_read(kernel: Kernel, bus: LinuxBus, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.plain = False
    monkeypatch.setattr(smbus.SMBus, "read_i2c_block_data", lambda *args: [])
    with pytest.raises(errors.ShortRead, match="0x76 sent 0 of 8 bytes"):
        bus.transfer(0x76, b"\xf7", 8)


def test_processes_take_turns(kernel: Kernel, bus: LinuxBus, clock: VirtualClock) -> None:
    release = holds_lock(kernel.file)
    with pytest.raises(errors.BusBusy, match="another process has held the bus for 2 s"):
        bus.transfer(0x76, b"\xd0", 1)
    assert LOCK_S <= clock.monotonic() < LOCK_S + 0.1
    release()
    assert bus.transfer(0x76, b"\xd0", 1) == b"\x60"


def test_the_lock_is_free_between_transfers(kernel: Kernel, bus: LinuxBus) -> None:
    other = LinuxBus(1)
    assert bus.transfer(0x76, b"\xd0", 1) == other.transfer(0x76, b"\xd0", 1) == b"\x60"
    other.close()


def test_a_failed_transfer_frees_the_lock(kernel: Kernel, bus: LinuxBus) -> None:
    with pytest.raises(errors.NoAcknowledge):
        bus.transfer(0x50, b"\x00", 1)
    holds_lock(kernel.file)()
