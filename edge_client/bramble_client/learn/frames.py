"""What a client and its training process say to each other: a line of JSON and arrays, with lengths before them and nothing pickled."""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.clock import Clock

Arrays = Mapping[str, NDArray[Any]]

KINDS = frozenset({"bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"})
"""Types of arrays that may travel."""
LONGEST = 1 << 20
"""Bytes of a frame's JSON, which names 4096 tensors at most."""
_LENGTH = struct.Struct("!I")
_PATIENCE_S = 3600.0
"""Longest single wait: a socket counts milliseconds in 32 bits."""


class Malformed(Exception):
    """What came is no frame, or a larger one than was allowed."""


class Frames:
    """One end of a stream socket that carries frames.

    Parameters
    ----------
    sock
        The socket; closed by :meth:`close`.
    clock
        Says when sending and receiving give up.
    """

    def __init__(self, sock: socket.socket, clock: Clock = time) -> None:
        self._sock, self._clock = sock, clock
        self.until = math.inf
        """When sending and receiving give up, on the monotonic clock, with ``TimeoutError``."""

    def send(self, head: Mapping[str, Any], arrays: Arrays | None = None) -> None:
        """Send one frame, without copying its arrays.

        Raises
        ------
        OSError
            If the other end is gone (``TimeoutError`` if it does not read).
        Malformed
            If an array is of a type that does not travel.
        """
        bodies = {name: np.asarray(array, order="C") for name, array in (arrays or {}).items()}
        told = [[name, array.dtype.name, list(array.shape)] for name, array in bodies.items()]
        for name, kind, _ in told:
            if kind not in KINDS:
                raise Malformed(f"{name} is of type {kind}")
        text = json.dumps([head, told]).encode()
        if len(text) > LONGEST:
            raise Malformed(f"{len(text)} bytes of names")
        self._send(_LENGTH.pack(len(text)) + text)
        for array in bodies.values():
            if array.size:
                self._send(array.data.cast("B"))

    def receive(self, most: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Receive one frame whose arrays take ``most`` bytes in all at most; nothing is allocated for a larger one.

        Raises
        ------
        EOFError
            If the other end is gone.
        OSError
            If the connection broke (``TimeoutError`` if nothing came in time).
        Malformed
            If what comes is no frame.
        """
        (length,) = _LENGTH.unpack(self._receive(_LENGTH.size))
        if length > LONGEST:
            raise Malformed(f"{length} bytes of names")
        head, told = _read(self._receive(length))
        sizes = [math.prod(shape) * np.dtype(kind).itemsize for _, kind, shape in told]
        if sum(sizes) > most:
            raise Malformed(f"{sum(sizes)} bytes where at most {most} were expected")
        arrays = {name: np.empty(shape, kind) for name, kind, shape in told}
        for array in arrays.values():
            if array.size:
                self._fill(array.data.cast("B"))
        return head, arrays

    def close(self) -> None:
        """Close the socket, which the other end sees."""
        self._sock.close()

    def _send(self, data: bytes | memoryview) -> None:
        self._wait()
        self._sock.sendall(data)

    def _receive(self, count: int) -> bytearray:
        data = bytearray(count)
        self._fill(memoryview(data))
        return data

    def _fill(self, space: memoryview) -> None:
        while space:
            self._wait()
            count = self._sock.recv_into(space)
            if not count:
                raise EOFError
            space = space[count:]

    def _wait(self) -> None:
        if math.isinf(self.until):
            self._sock.settimeout(None)
            return
        left = self.until - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(min(left, _PATIENCE_S))


def _read(text: bytearray) -> tuple[dict[str, Any], list[tuple[str, str, list[int]]]]:
    try:
        head, told = json.loads(text)
        if not isinstance(head, dict) or not isinstance(told, list):
            raise TypeError("no object and list")
        for name, kind, shape in told:
            if not isinstance(name, str) or kind not in KINDS or not isinstance(shape, list):
                raise TypeError("no array")
            if len(shape) > 32 or not all(type(size) is int and size >= 0 for size in shape):
                raise TypeError("no shape")
    except (ValueError, TypeError, RecursionError) as error:
        raise Malformed(str(error)[:100]) from None
    return head, [(name, kind, shape) for name, kind, shape in told]
