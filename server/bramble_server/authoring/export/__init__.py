"""A task's Keras model becomes a graph: one ``.tflite`` with its whole training loop inside.

Needs TensorFlow (extra ``authoring``); nothing that serves or trains imports this package.
"""

from bramble_server.authoring.export.convert import export
from bramble_server.authoring.export.gradients import ExportError

__all__ = ["ExportError", "export"]
