"""What a connection has carried so far, as the kernel counts it: with retransmissions, TLS and the heads of all packets, as a bill does."""

from __future__ import annotations

import contextlib
import socket
import struct

_SENT_BEFORE_4_19, _RECEIVED_AND_SEGMENTS, _SENT = 120, 128, 200
"""Where ``struct tcp_info`` (linux, include/uapi/linux/tcp.h) has ``tcpi_bytes_acked``; ``tcpi_bytes_received``, ``tcpi_segs_out`` and
``tcpi_segs_in``; ``tcpi_bytes_sent``."""
_HEADS = {socket.AF_INET: 52, socket.AF_INET6: 72}
"""Bytes of the heads of a packet: IP's, and TCP's with time stamps."""


def carried(sock: socket.socket) -> int:
    """Return the bytes that a connection has sent and received; 0 where the kernel does not say."""
    with contextlib.suppress(OSError, struct.error):
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        received, out, back = struct.unpack_from("=QII", told, _RECEIVED_AND_SEGMENTS)
        (sent,) = struct.unpack_from("=Q", told, _SENT if len(told) >= _SENT + 8 else _SENT_BEFORE_4_19)
        return int(sent + received + _HEADS.get(sock.family, 0) * (out + back))
    return 0
