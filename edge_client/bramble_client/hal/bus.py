"""The one thing that differs between a Pi and a laptop: the I2C bus.

A bus has one primitive, ``transfer``: write some bytes, then read some after a repeated start. Everything else is built on it.
"""

from __future__ import annotations

import errno
import random
import threading
from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

from bramble_client.hal.clock import Clock, SystemClock
from bramble_client.hal.errors import (
    ArbitrationLost,
    BusBusy,
    BusClosed,
    BusError,
    BusTimeout,
    NoAcknowledge,
    NoSuchBus,
    PermissionDenied,
    ShortRead,
    UnsupportedTransfer,
)

FIRST_ADDRESS, LAST_ADDRESS = 0x08, 0x77
"""7-bit addresses that a device may have; the others are reserved (I2C specification UM10204, section 3.1.12)."""
MAX_TRANSFER = 8192
"""The kernel's limit for one message of I2C_RDWR."""
ATTEMPTS = 3
"""How often a transfer is tried before its error is raised."""
RETRY_S = 0.001
"""Mean wait before the first retry; doubled for each further one, with jitter so that two masters do not keep colliding."""


@runtime_checkable
class I2CBus(Protocol):
    """What a driver may rely on, whichever bus it sits on."""

    @property
    def name(self) -> str:
        """What errors call the bus, for instance ``/dev/i2c-1``."""

    def transfer(self, address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        """Write the bytes, then read that many; both in one transaction. With neither, only the address is sent.

        Parameters
        ----------
        once
            Whether the chip gives what is read only once, as a queue does. A transfer that broke off under way is then not repeated.

        Raises
        ------
        BusError
            One of its subclasses, after bounded retries where a retry may help.
        ValueError
            If the address is reserved or a length is absurd.
        """

    def scan(self) -> list[int]:
        """Return the addresses that answer, in order."""

    def close(self) -> None:
        """Release the bus; closing twice does no harm."""


class BaseBus(ABC):
    """Checks, retries and the lock between threads, which every bus shares. A subclass carries out one attempt."""

    def __init__(self, name: str, clock: Clock | None = None, seed: int | None = None) -> None:
        self.name = name
        self._clock = clock or SystemClock()
        self._jitter = random.Random(seed)
        self._lock = threading.RLock()
        self._closed = False

    def transfer(self, address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        """Carry out one transaction; see ``I2CBus.transfer``."""
        if not FIRST_ADDRESS <= address <= LAST_ADDRESS:
            raise ValueError(f"address {address:#04x} is reserved: a device has one from {FIRST_ADDRESS:#04x} to {LAST_ADDRESS:#04x}")
        if not (0 <= read <= MAX_TRANSFER and len(write) <= MAX_TRANSFER):
            raise ValueError(f"a transfer carries at most {MAX_TRANSFER} bytes each way, not {len(write)} out and {read} in")
        attempt = 1
        while True:
            try:
                with self._lock:
                    if self._closed:
                        raise BusClosed(f"{self.name} is closed; open it again before you read from {address:#04x}")
                    data = self._attempt(address, write, read, once)
                if len(data) == read:
                    return data
                error: BusError = ShortRead(f"{self.name}: {address:#04x} sent {len(data)} of {read} bytes; check its wiring and power")
            except OSError as cause:
                error = from_errno(cause, self.name, address)
            # Whoever did not acknowledge has given nothing; of what was given, a second attempt would miss the beginning
            if not error.transient or attempt == ATTEMPTS or (once and not isinstance(error, NoAcknowledge)):
                raise error
            self._clock.sleep(RETRY_S * 2 ** (attempt - 1) * self._jitter.uniform(0.5, 1.5))
            attempt += 1

    def scan(self) -> list[int]:
        """Return the addresses that answer, in order. One that a kernel driver owns is there, so it is listed."""
        return [address for address in range(FIRST_ADDRESS, LAST_ADDRESS + 1) if self._answers(address)]

    def _answers(self, address: int) -> bool:
        try:
            with self._lock:
                if self._closed:
                    raise BusClosed(f"{self.name} is closed; open it again before you scan it")
                self._probe(address)
        except OSError as cause:
            error = from_errno(cause, self.name, address)
            if isinstance(error, (PermissionDenied, NoSuchBus)):
                raise error from cause
            return isinstance(error, BusBusy)
        return True

    def _probe(self, address: int) -> None:
        """Send only the address; raise OSError if nothing acknowledges it."""
        self._attempt(address, b"", 0)

    @abstractmethod
    def _attempt(self, address: int, write: bytes, read: int, once: bool = False) -> bytes:
        """Carry out one transaction; raise OSError as the kernel does."""

    def close(self) -> None:
        """Release the bus; closing twice does no harm."""
        with self._lock:
            self._closed = True


_SILENT = "nothing answers at {address}; check the wiring, the power and the address"
_LATE = (
    "the transfer with {address} timed out; a chip may hold the bus or stretch the clock: "
    "take its power away for a moment, or slow the bus down with dtparam=i2c_baudrate=10000"
)
_FORBIDDEN = "no permission to open it; add the user to the group i2c (sudo usermod -aG i2c $USER) and log in again"
_KINDS: dict[int, tuple[type[BusError], str]] = {
    errno.EREMOTEIO: (NoAcknowledge, _SILENT),
    errno.ENODEV: (NoAcknowledge, _SILENT),
    errno.ENXIO: (NoAcknowledge, _SILENT),
    errno.ETIMEDOUT: (BusTimeout, _LATE),
    errno.EIO: (BusTimeout, _LATE),  # what a Pi's adapters (bcm2835, designware) report for a clock that was stretched too long
    errno.EAGAIN: (ArbitrationLost, "lost the bus while talking to {address}; look for a second master or a data line that is held low"),
    errno.EBUSY: (
        BusBusy,
        "a kernel driver owns {address}; unload it, remove its dtoverlay line from config.txt, "
        'or read what it reads (driver = "iio" or "hwmon", see `bramble sensors scan`)',
    ),
    errno.EACCES: (PermissionDenied, _FORBIDDEN),
    errno.EPERM: (PermissionDenied, _FORBIDDEN),
    errno.ENOENT: (NoSuchBus, "there is no such bus; enable I2C (sudo raspi-config nonint do_i2c 0) or name another one"),
    errno.EOPNOTSUPP: (UnsupportedTransfer, "the adapter cannot carry out this transfer with {address}; use another bus for this sensor"),
}


def from_errno(cause: OSError, bus: str, address: int) -> BusError:
    """Turn what the kernel said into a typed error with a sentence."""
    kind, text = _KINDS.get(cause.errno or 0, (BusError, ""))
    if not text:
        text = f"the transfer with {{address}} failed ({cause.strerror or cause}); check the wiring and the kernel's log (dmesg)"
    error = kind(f"{bus}: {text.format(address=f'{address:#04x}')}")
    error.__cause__ = cause
    return error
