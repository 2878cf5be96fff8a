"""What layers of a model noted while they trained here, such as a moving mean: it stays on this client, and goes on from run to run."""

from __future__ import annotations

import base64
import binascii
import json

from bramble_protocol import codecs
from bramble_protocol.errors import ProtocolError
from bramble_protocol.graph import Manifest
from bramble_protocol.layout import Weights

LAYER_STATE = "layer_state"
"""Where the recorder keeps it; that of the newest run whose result the server took."""


def written(manifest: Manifest, state: Weights) -> str | None:
    """Return it as a text, with which weights it belongs to; None if the model's layers keep none."""
    if not state.size:
        return None
    return json.dumps([manifest.meaning, base64.b64encode(codecs.encode(state, "float32")).decode()])


def read(text: str | None, manifest: Manifest, initial: Weights) -> Weights:
    """Return what was written, or what the graph begins with if that was of another model, or is damaged."""
    if text is None or not initial.size:
        return initial
    try:
        meaning, values = json.loads(text)
        if meaning == manifest.meaning:
            return codecs.decode(base64.b64decode(values), manifest.interface.state, "float32")
    except (ValueError, TypeError, binascii.Error, ProtocolError):
        pass
    return initial
