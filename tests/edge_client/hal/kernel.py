"""The kernel's side of ``/dev/i2c-N``, faked at open and ioctl: smbus2's own code runs unchanged on top."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import smbus2.smbus2 as smbus

from bramble_client.hal import linux
from bramble_client.hal.sim.bus import carry
from bramble_client.hal.sim.chips.base import Chip

READ_FLAG = 1


class Kernel:
    """An adapter with chips behind it.

    ``plain`` says whether it has I2C_RDWR; the SMBus calls it always has. ``owned`` are addresses that a kernel driver owns.
    """

    def __init__(self, file: Path, plain: bool = True) -> None:
        self.file, self.plain = file, plain
        self.chips: dict[int, Chip] = {}
        self.owned: set[int] = set()
        self.quick = True
        self.claims_plain = plain
        self.missing: set[str] = set()
        """Device files that are not there."""
        self.open_error: int | None = None
        self.open_files: set[int] = set()
        """Descriptors of the device file that nobody has closed yet."""
        self._away: dict[int, Chip] = {}
        self.slave: dict[int, int] = {}
        self.requests: list[int] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real_open = os.open

        def fake_open(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            if not str(path).startswith("/dev/i2c-"):
                return real_open(path, flags, *args, **kwargs)
            if str(path) in self.missing:
                raise OSError(errno.ENOENT, "No such file or directory")
            if self.open_error is not None:
                raise OSError(self.open_error, os.strerror(self.open_error))
            fd = real_open(self.file, os.O_RDWR | os.O_CREAT)
            self.open_files.add(fd)
            return fd

        real_close = os.close

        def fake_close(fd: int) -> None:
            self.open_files.discard(fd)
            real_close(fd)

        real_exists = os.path.exists

        def fake_exists(path: Any) -> bool:
            return str(path) not in self.missing if str(path).startswith("/dev/i2c-") else real_exists(path)

        monkeypatch.setattr(os, "open", fake_open)
        monkeypatch.setattr(os, "close", fake_close)
        monkeypatch.setattr(os.path, "exists", fake_exists)
        monkeypatch.setattr(smbus, "ioctl", self.ioctl)
        monkeypatch.setattr(linux, "ioctl", self.ioctl)

    @property
    def held(self) -> int:
        """How many descriptors keep the kernel from letting the adapter go."""
        return len(self.open_files)

    def pull_out(self, name: str = "/dev/i2c-1") -> None:
        """Take the adapter away, and its chips with it."""
        self.missing = {name}
        self._away = dict(self.chips)
        self.chips.clear()

    def plug_in(self) -> None:
        """Bring the adapter back, with its chips."""
        self.missing = set()
        self.chips.update(self._away)

    def ioctl(self, fd: int, request: int, argument: Any) -> int:
        self.requests.append(request)
        if request == smbus.I2C_FUNCS:
            argument.value = int(smbus.I2cFunc.SMBUS_QUICK) | (int(smbus.I2cFunc.I2C) if self.claims_plain else 0)
        elif request == smbus.I2C_SLAVE:
            if argument in self.owned:
                raise OSError(errno.EBUSY, "Device or resource busy")
            self.slave[fd] = argument
        elif request == smbus.I2C_RDWR:
            self._rdwr(argument)
        elif request == smbus.I2C_SMBUS:
            self._smbus(self.slave[fd], argument)
        else:
            raise AssertionError(f"an ioctl that a sensor bus has no use for: {request:#x}")
        return 0

    def _rdwr(self, argument: Any) -> None:
        if not self.plain:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        messages = [argument.msgs[i] for i in range(argument.nmsgs)]
        address = messages[0].addr
        assert all(message.addr == address for message in messages)
        write = b"".join(ctypes.string_at(m.buf, m.len) for m in messages if not m.flags & READ_FLAG)
        wanted = [m for m in messages if m.flags & READ_FLAG]
        data = carry(self.chips.get(address), write, sum(m.len for m in wanted))
        for message in wanted:
            ctypes.memmove(message.buf, data, len(data))

    def _smbus(self, address: int, argument: Any) -> None:
        chip, union = self.chips.get(address), argument.data and argument.data.contents
        reading, command, size = argument.read_write == smbus.I2C_SMBUS_READ, argument.command, argument.size
        if size == smbus.I2C_SMBUS_QUICK:
            if not self.quick:
                raise OSError(errno.EOPNOTSUPP, "Operation not supported")
            carry(chip, b"", 0)
        elif size == smbus.I2C_SMBUS_BYTE:
            if reading:
                union.byte = carry(chip, b"", 1)[0]
            else:
                carry(chip, bytes((command,)), 0)
        elif size == smbus.I2C_SMBUS_I2C_BLOCK_DATA:
            length = union.block[0]
            assert 0 < length <= 32
            if reading:
                for i, value in enumerate(carry(chip, bytes((command,)), length)):
                    union.block[i + 1] = value
            else:
                carry(chip, bytes((command, *union.block[1 : length + 1])), 0)
        else:
            raise AssertionError(f"an SMBus call of size {size} that was not expected")


def holds_lock(path: Path) -> Callable[[], None]:
    """Lock a file as another process would, and return what releases it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return lambda: os.close(fd)
