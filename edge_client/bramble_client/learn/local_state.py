"""What a run leaves on this client for the next one, and sends to nobody: what layers of the model noted while they trained, such as a
moving mean, the client's controls, and what a codec left out of the last answer.
"""

from __future__ import annotations

import base64
import json
from typing import NamedTuple

from bramble_client.learn.controls import Controls
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
    left: Weights | None = None
    """What is to be added to the next answer, shape (layout.size,); None for nothing."""


def written(manifest: Manifest, kept: Kept) -> str | None:
    """Return it as a text, with which weights it belongs to; None if there is nothing to keep."""
    if not kept.state.size and not kept.controls and kept.left is None:
        return None
    controls = {number: _text(control, manifest.layout) for number, control in kept.controls.items()}
    left = None if kept.left is None else _text(kept.left, manifest.layout)
    beyond = [controls, left] if left else [controls] if controls else []
    return json.dumps([manifest.meaning, _text(kept.state, manifest.interface.state), *beyond])


def read(text: str | None, manifest: Manifest, initial: Weights) -> Kept:
    """Return what was written, or what the graph begins with and nothing else if that was of another model, or is damaged.

    Parameters
    ----------
    initial
        What the graph's state begins with.
    """
    try:
        meaning, state, *rest = json.loads(text or "[null, null]")
        if meaning != manifest.meaning:
            return Kept(initial, {})
        controls = {int(number): _vector(control, manifest.layout) for number, control in rest[0].items()} if rest else {}
        left = _vector(rest[1], manifest.layout) if len(rest) > 1 else None
        return Kept(_vector(state, manifest.interface.state) if initial.size else initial, controls, left)
    except (ValueError, TypeError, AttributeError, ProtocolError):
        return Kept(initial, {})


def _text(vector: Weights, layout: Layout) -> str:
    return base64.b64encode(codecs.encode(vector, layout, "float32")).decode() if vector.size else ""


def _vector(text: str, layout: Layout) -> Weights:
    return codecs.decode(base64.b64decode(text), layout, "float32")
