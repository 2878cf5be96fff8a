"""The real bus: ``/dev/i2c-N`` over smbus2."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl

from smbus2 import I2cFunc, SMBus, i2c_msg

from bramble_client.hal.bus import BaseBus, from_errno
from bramble_client.hal.clock import Clock
from bramble_client.hal.errors import BusBusy, BusClosed, BusError

I2C_SLAVE = 0x0703
"""The kernel's request (linux/i2c-dev.h) to talk to an address, refused while a driver of its own does."""
SMBUS_BLOCK = 32
"""Most bytes that one SMBus block call carries."""
LOCK_S, LOCK_STEP_S = 2.0, 0.001
"""How long to wait for another process that holds the bus, and how often to look."""
LOOK_S = 2.0
_UNSUPPORTED = {errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS}


class LinuxBus(BaseBus):
    """An I2C bus of the kernel.

    Threads share one object. Processes that use this class take turns, by a lock on the device file. What the adapter cannot carry
    by I2C_RDWR (the kernel's i2c-stub and some SMBus controllers nothing, others no long message), SMBus calls carry as far as they go.

    Parameters
    ----------
    number
        The N of ``/dev/i2c-N``, or the path itself.

    Raises
    ------
    NoSuchBus, PermissionDenied
        If the device file cannot be opened.
    """

    def __init__(self, number: int | str = 1, clock: Clock | None = None) -> None:
        name = f"/dev/i2c-{number}" if isinstance(number, int) else number
        super().__init__(name, clock)
        try:
            self._smbus = SMBus(number)
        except OSError as cause:
            raise from_errno(cause, name, 0) from cause
        self._plain = bool(self._smbus.funcs & I2cFunc.I2C)
        self._fd = self._smbus.fd or 0

    def _attempt(self, address: int, write: bytes, read: int, once: bool = False) -> bytes:
        with self._turn(address):
            # I2C_RDWR does not ask whether a kernel driver owns the address; I2C_SLAVE does, with EBUSY. One may be bound at any time
            ioctl(self._fd, I2C_SLAVE, address)
            if not write and not read:
                self._smbus.write_quick(address)
                return b""
            if self._plain:
                try:
                    return self._combined(address, write, read)
                except OSError as cause:
                    # Of this transfer alone: an adapter may refuse a long message, or one in a bad moment, and carry the next
                    if cause.errno not in _UNSUPPORTED:
                        raise
            if once and read > SMBUS_BLOCK:
                # Cut into blocks, the rest would be read from the registers that come after the queue's
                raise _unsupported()
            return self._by_smbus(address, write, read)

    def _combined(self, address: int, write: bytes, read: int) -> bytes:
        messages = [i2c_msg.write(address, write)] if write else []
        if read:
            messages.append(i2c_msg.read(address, read))
        self._smbus.i2c_rdwr(*messages)
        return bytes(messages[-1]) if read else b""

    def _by_smbus(self, address: int, write: bytes, read: int) -> bytes:
        """Carry out what has an SMBus equivalent: register reads in blocks of 32 (the chip's pointer moves by itself), short writes."""
        bus = self._smbus
        if not write and read == 1:
            return bytes((bus.read_byte(address),))
        if not read:
            if len(write) == 1:
                bus.write_byte(address, write[0])
            elif len(write) - 1 <= SMBUS_BLOCK:
                bus.write_i2c_block_data(address, write[0], list(write[1:]))
            else:
                raise _unsupported()
            return b""
        if len(write) != 1 or (read > SMBUS_BLOCK and write[0] + read > 256):
            raise _unsupported()
        data = b""
        while len(data) < read:
            part = bus.read_i2c_block_data(address, write[0] + len(data), min(SMBUS_BLOCK, read - len(data)))
            if not part:
                break  # the base class reports the short read
            data += bytes(part)
        return data

    def _probe(self, address: int) -> None:
        """Send only the address, as i2cdetect does; where the adapter cannot, read one byte."""
        try:
            self._attempt(address, b"", 0)
        except OSError as cause:
            if cause.errno not in _UNSUPPORTED:
                raise
            self._attempt(address, b"", 1)

    @contextmanager
    def _turn(self, address: int) -> Iterator[None]:
        """Lock the bus, so that no other process uses it meanwhile."""
        deadline = self._clock.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if self._clock.monotonic() >= deadline:
                    raise BusBusy(
                        f"{self.name}: another process has held the bus for {LOCK_S:.0f} s; find it with `fuser {self.name}`"
                    ) from None
                self._clock.sleep(LOCK_STEP_S)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release the device file; closing twice does no harm."""
        with self._lock:
            if not self._closed:
                self._smbus.close()
            super().close()


def _unsupported() -> OSError:
    return OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


class ReopeningBus:
    """A bus that is opened when it is first used, and again when it was gone: an adapter on USB takes its bus with it.

    The kernel keeps an adapter that was pulled out, and all that is plugged in after it waits, until the last one lets go of its
    device file. So this class does, within a few seconds of the moment when the file's name has vanished.

    Parameters
    ----------
    number
        The N of ``/dev/i2c-N``.
    look
        Seconds between two looks whether it is there still, beside those after a transfer that failed.
    """

    def __init__(self, number: int, clock: Clock | None = None, look: float = LOOK_S) -> None:
        self.name = f"/dev/i2c-{number}"
        self._number, self._clock, self._look = number, clock, look
        self._watcher: threading.Thread | None = None
        self._done = threading.Event()
        self._bus: LinuxBus | None = None
        self._opening = threading.Lock()
        self._closed = False

    def transfer(self, address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        """Carry out one transaction; see ``I2CBus.transfer``."""
        bus = self._opened()
        try:
            return bus.transfer(address, write, read, once)
        except BusError:
            self._forget(bus)
            raise

    def scan(self) -> list[int]:
        """Return the addresses that answer, in order."""
        bus = self._opened()
        try:
            found = bus.scan()
        except BusError:
            self._forget(bus)
            raise
        if not found:  # on a bus that has gone nothing answers
            self._forget(bus)
        return found

    def close(self) -> None:
        """Release the device file; closing twice does no harm."""
        self._done.set()
        with self._opening:
            self._closed = True
            if self._bus is not None:
                self._bus.close()

    def _opened(self) -> LinuxBus:
        with self._opening:
            if self._closed:
                raise BusClosed(f"{self.name} is closed; open it again before you use it")
            if self._bus is None:
                self._bus = LinuxBus(self._number, self._clock)
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name=f"watch {self.name}", daemon=True)
                self._watcher.start()
            return self._bus

    def _watch(self) -> None:
        """Look after a bus that nobody uses for a while: its sensors may be read once an hour."""
        while not self._done.wait(self._look):
            bus = self._bus
            if bus is not None:
                self._forget(bus)

    def _forget(self, bus: LinuxBus) -> None:
        """Let go of a bus whose device file has vanished."""
        if not os.path.exists(self.name):
            with self._opening:
                if self._bus is bus:
                    bus.close()
                    self._bus = None
