"""A task's Keras model becomes a graph: one ``.tflite`` with its whole training loop inside.

Needs TensorFlow (extra ``authoring``); nothing that serves or trains imports this package.
"""

from server.export.convert import export
from server.export.gradients import ExportError

__all__ = ["ExportError", "export"]
