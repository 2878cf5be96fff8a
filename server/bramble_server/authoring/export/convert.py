"""From a task to its graph file: build, convert, check, pack."""

from __future__ import annotations

import importlib
import re
import tempfile
from collections.abc import Collection
from typing import Any

from bramble_protocol.graph import GraphFile
from bramble_server.authoring.export.check import check
from bramble_server.authoring.export.gradients import ExportError, tf
from bramble_server.authoring.export.program import Program
from bramble_server.tasks.base import Task

REMEDIES = {
    "Erfc": "take silu, or gelu with approximate=True, for gelu",
}
"""What to do about an operation that is not built in, where it is known."""


def export(task: Task) -> GraphFile:
    """Build a task's model, with initial weights from the task's seed, and make it a graph that has been tried.

    Raises
    ------
    ExportError
        Naming the weight or operation that cannot be exported and what to use instead, or the signature whose numbers
        are not TensorFlow's.
    """
    importlib.import_module("keras").utils.set_random_seed(task.seed)
    program = Program(task, task.model())
    names = [layer.name for layer in program.model._flatten_layers()]
    flatbuffer = convert(program.signatures(), names)
    check(flatbuffer, program)
    return GraphFile.pack(flatbuffer, program.manifest, program.initial(), program.state())


def convert(signatures: dict[str, Any], layers: Collection[str] = ()) -> bytes:
    """Turn concrete functions into one flatbuffer of built-in operations: the runtimes on a Pi have no others.

    Raises
    ------
    ExportError
        Naming the operations that are not built in, and those of the ``layers`` that use them.
    """
    with tempfile.TemporaryDirectory() as folder:
        # the overridden gradients are in the functions already; nobody differentiates them again
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(tf.Module(), folder, signatures=signatures, options=options)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            return bytes(converter.convert())
        except Exception as error:
            raise _not_built_in(str(error), signatures, layers) from error


def _not_built_in(text: str, signatures: dict[str, Any], layers: Collection[str]) -> ExportError:
    kinds = sorted(set(re.findall(r"'?tf\.(\w+)'? op", text)))
    if not kinds:
        return ExportError(f"the converter refused the model: {text.strip().splitlines()[0][:300]}")
    remedies = {REMEDIES.get(kind, "replace the layer or function that uses it") for kind in kinds}
    found = _using(kinds, signatures, layers)
    where = f" (layer {', '.join(found)})" if found else ""
    return ExportError(f"{', '.join(kinds)}{where}: not among TensorFlow Lite's built-in operations; {'; '.join(sorted(remedies))}")


def _using(kinds: Collection[str], signatures: dict[str, Any], layers: Collection[str]) -> list[str]:
    """Return the layers that operations of these kinds belong to: a scope of theirs is named like it, mostly with a number behind."""
    operations = [operation for function in signatures.values() for operation in function.graph.get_operations()]
    scopes = {part for operation in operations if operation.type in kinds for part in operation.name.split("/")[:-1]}
    found = {name for scope in scopes for name in (re.sub(r"_\d+$", "", scope), scope) if name in layers}
    return sorted(found)
