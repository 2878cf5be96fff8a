"""A Socket.IO client that takes messages in order: the library has a thread for each, which may take an attachment before its head."""

from __future__ import annotations

from typing import Any

import engineio  # type: ignore[import-untyped]
import socketio  # type: ignore[import-untyped]


class _Engine(engineio.Client):  # type: ignore[misc]
    def _trigger_event(self, event: str, *args: Any, **options: Any) -> Any:
        return super()._trigger_event(event, *args, **{**options, "run_async": False})


class _Whole(socketio.Client):  # type: ignore[misc]
    """Takes a message and its attachment in their order; handlers must not wait for another."""

    def _engineio_client_class(self) -> type[_Engine]:
        return _Engine


class InOrder(_Whole):
    """The same, and handlers may ask and wait."""

    def _handle_event(self, *event: Any) -> None:
        self.start_background_task(super()._handle_event, *event)


class InOrderSimply(socketio.SimpleClient):  # type: ignore[misc]
    """The library's client that waits for one message after the other."""

    client_class = _Whole
