"""What a run leaves on this client for the next one, and sends to nobody: what layers of the model noted while they trained, such as a
moving mean, and the client's controls.
"""

from __future__ import annotations

import base64
import json

from bramble_client.learn.controls import Controls
from bramble_protocol import codecs
from bramble_protocol.errors import ProtocolError
from bramble_protocol.graph import Manifest
from bramble_protocol.layout import Layout, Weights

LOCAL_STATE = "layer_state"
"""Where the recorder keeps it; that of the newest run whose result the server took."""


def written(manifest: Manifest, state: Weights, controls: Controls) -> str | None:
    """Return it as a text, with which weights it belongs to; None if there is nothing to keep."""
    if not state.size and not controls:
        return None
    kept = {number: _text(control) for number, control in controls.items()}
    return json.dumps([manifest.meaning, _text(state), *([kept] if kept else [])])


def read(text: str | None, manifest: Manifest, initial: Weights) -> tuple[Weights, Controls]:
    """Return what was written, or what the graph begins with and no control if that was of another model, or is damaged.

    Parameters
    ----------
    initial
        What the graph's state begins with.
    """
    try:
        meaning, state, *rest = json.loads(text or "[null, null]")
        if meaning != manifest.meaning:
            return initial, {}
        controls = {int(number): _vector(control, manifest.layout) for number, control in rest[0].items()} if rest else {}
        return (_vector(state, manifest.interface.state) if initial.size else initial), controls
    except (ValueError, TypeError, AttributeError, ProtocolError):
        return initial, {}


def _text(vector: Weights) -> str:
    return base64.b64encode(codecs.encode(vector, "float32")).decode() if vector.size else ""


def _vector(text: str, layout: Layout) -> Weights:
    return codecs.decode(base64.b64decode(text), layout, "float32")
