"""What a run leaves on this client for the next one, and sends to nobody: what layers of the model noted while they trained, such as a
moving mean, the client's controls, what a codec left out of the last answer, and what it keeps of the model for its own site.
"""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

from bramble_client.learn.controls import Controls
from bramble_client.learn.feedback import Left
from bramble_client.use.drift import Drift
from bramble_client.use.own import Own
from bramble_client.use.standing import Standing
from bramble_protocol import codecs
from bramble_protocol.errors import ProtocolError
from bramble_protocol.graph import Manifest
from bramble_protocol.layout import Layout, Weights

LOCAL_STATE = "layer_state"
"""Where the recorder keeps it; that of the newest run whose result the server took."""


class Kept(NamedTuple):
    """What is kept of one model."""

    state: Weights
    """Of its layers, shape (interface.state.size,)."""
    controls: Controls
    left: Left | None = None
    """What is to be added to the next answer; None for nothing."""
    own: Own = Own()
    """Its personal model, and which model does best here."""


def written(manifest: Manifest, kept: Kept) -> str | None:
    """Return it as a text, with which weights it belongs to; None if there is nothing to keep."""
    if not kept.state.size and not kept.controls and kept.left is None and kept.own.empty:
        return None
    controls = {number: text(control, manifest.layout) for number, control in kept.controls.items()}
    left = None if kept.left is None else _left_text(kept.left, manifest.layout)
    personal = None if kept.own.personal is None else text(kept.own.personal, manifest.layout)
    own = {"personal": personal, "standing": kept.own.standing.to_json(), "drift": kept.own.drift.to_json()}
    return json.dumps([manifest.meaning, text(kept.state, manifest.interface.state), controls, left, own])


def read(noted: str | None, manifest: Manifest, initial: Weights) -> Kept:
    """Return what was written, or what the graph begins with and nothing else if that was of another model, or is damaged.

    Parameters
    ----------
    initial
        What the graph's state begins with.
    """
    if noted is None:
        return Kept(initial, {})
    try:
        meaning, state, *rest = json.loads(noted)
        if meaning != manifest.meaning:
            return Kept(initial, {})
        controls = {int(number): vector(control, manifest.layout) for number, control in rest[0].items()} if rest else {}
        left = _left(rest[1], manifest.layout) if len(rest) > 1 and rest[1] is not None else None
        own = _own(rest[2], manifest.layout) if len(rest) > 2 else Own()
        return Kept(vector(state, manifest.interface.state) if initial.size else initial, controls, left, own)
    except (ValueError, TypeError, AttributeError, KeyError, ProtocolError):
        return Kept(initial, {})


def _left_text(left: Left, layout: Layout) -> list[Any]:
    return [text(left.added, layout), left.round, None if left.before is None else text(left.before, layout)]


def _left(told: Any, layout: Layout) -> Left:
    added, number, before = told
    return Left(vector(added, layout), int(number), None if before is None else vector(before, layout))


def _own(told: Any, layout: Layout) -> Own:
    personal = None if told["personal"] is None else vector(told["personal"], layout)
    return Own(personal, Standing.from_json(told["standing"]), Drift.from_json(told["drift"]))


def text(values: Weights, layout: Layout) -> str:
    """Return a flat vector as a text."""
    return base64.b64encode(codecs.encode(values, layout, "float32")).decode() if values.size else ""


def vector(told: str, layout: Layout) -> Weights:
    """Read what :func:`text` gave.

    Raises
    ------
    ValueError, ProtocolError
        If it is something else.
    """
    return codecs.decode(base64.b64decode(told), layout, "float32")
