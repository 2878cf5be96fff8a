"""A model that a fleet has trained, in the forms in which others take it: its weights inside, and no training.

Needs TensorFlow (extra ``authoring``), and for ONNX tf2onnx (extra ``onnx``). It is made of the task's own Keras layers, not of its graph,
whose layers are written out for the training step.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import Manifest
from bramble_protocol.layout import Weights
from bramble_server.authoring.export.gradients import ExportError, tf
from bramble_server.authoring.export.program import Program
from bramble_server.tasks.base import Task

Arrays = dict[str, NDArray[Any]]
CALIBRATED = 500
"""Windows, spread over the recording, by which int8's ranges are set."""
OPSET = 18


class Trained:
    """A task's model with these weights.

    Parameters
    ----------
    task
        With the horizon that the model was trained for.
    weights
        Shape (layout.size,). What layers keep beside them (batch normalisation's statistics) is each client's own, and here as it began.

    Raises
    ------
    ExportError
        If the task's model has other weights.
    """

    def __init__(self, task: Task, weights: Weights) -> None:
        importlib.import_module("keras").utils.set_random_seed(task.seed)
        self._program = Program(task, task.model())
        layout = self._program.layout
        if weights.shape != (layout.size,):
            raise ExportError(f"{task.name}: its model has {layout.size} weights here, and {weights.size} came: another version made them")
        for variable, value in zip(self._program.model.trainable_variables, layout.split(weights), strict=True):
            variable.assign(value)
        weights_by_name = {f"w{i}": tensor for i, tensor in enumerate(layout.split(weights))}
        state = self._program.interface.state
        kept = {f"s{i}": tensor for i, tensor in enumerate(state.split(self._program.state()))} if state.size else {}
        self._constant = {**weights_by_name, **kept}
        self.manifest: Manifest = self._program.manifest

    def tflite(self) -> bytes:
        """Return a flatbuffer with one signature, ``infer``, of the task's inputs and outputs by name, any number of windows."""
        return self._convert()

    def int8(self, windows: Arrays | None) -> bytes:
        """Return it with weights of a byte, and inputs and outputs in float32.

        Parameters
        ----------
        windows
            The task's inputs by name, by which activations are made integers, too; None: weights alone. They get 16 bits: a window is in
            its channels' units, and beside a pressure of 1,000 hPa 8 bits know a temperature to 4 °C.
        """

        def some() -> Iterator[Arrays]:
            assert windows is not None
            count = len(next(iter(windows.values())))
            for row in np.unique(np.linspace(0, count - 1, CALIBRATED).astype(int)):
                yield {name: array[row : row + 1] for name, array in windows.items()}

        return self._convert(quantised=True, some=some if windows is not None else None)

    def keras(self, path: Path) -> None:
        """Write a ``.keras`` file: window in, forecast out.

        Raises
        ------
        ExportError
            If the task's forecast is not written with what Keras can save.
        """
        keras = importlib.import_module("keras")
        model, task = self._program.model, self._program.task
        try:
            output = model.outputs[0] if len(model.outputs) == 1 else model.outputs
            x = {tensor.name: tensor for tensor in model.inputs} if task.several else model.inputs[0]
            forecast = task.forecast(x, output if task.several else keras.ops.reshape(output, (-1,)))
            keras.Model(model.inputs, forecast).save(path)
        except (TypeError, ValueError, AttributeError) as error:
            said = " ".join(str(error).split())[:200]
            raise ExportError(f"{task.name}: its forecast cannot be saved by Keras ({said}); take the format tflite or onnx") from error

    def onnx(self) -> bytes:
        """Return an ONNX model of the task's inputs and outputs by name.

        Raises
        ------
        BrambleError
            If tf2onnx is not installed.
        """
        try:
            tf2onnx = importlib.import_module("tf2onnx")
        except ModuleNotFoundError as error:
            raise BrambleError(f"{error.name} is not installed; get it with: pip install 'bramble-fl[authoring,onnx]'") from error
        inputs = self._specs()
        self._infer(*(tf.zeros([1, *spec.shape[1:]], spec.dtype) for spec in inputs))  # once first: it must have been built
        found, _ = tf2onnx.convert.from_function(tf.function(self._infer, input_signature=inputs), inputs, opset=OPSET)
        return bytes(found.SerializeToString())

    def error(self, flatbuffer: bytes, inputs: Arrays, targets: Arrays) -> float:
        """Return the error of a converted model on windows, as the task's metric."""
        interpreter = tf.lite.Interpreter(model_content=flatbuffer)
        found = interpreter.get_signature_runner("infer")(**inputs)
        task, face = self._program.task, self._program.interface
        forecast = found if task.several else found[face.outputs[0].name]
        y = targets if task.several else targets[face.targets[0].name]
        return task.metric.read(float(np.mean(task.error(y, forecast))))

    def _specs(self) -> list[Any]:
        return [tf.TensorSpec([None, *item.shape], item.dtype, item.name) for item in self._program.interface.inputs]

    def _infer(self, *tensors: Any) -> dict[str, Any]:
        named = {item.name: tensor for item, tensor in zip(self._program.interface.inputs, tensors, strict=True)}
        return self._program.infer({**named, **{name: tf.constant(array) for name, array in self._constant.items()}})

    def _convert(self, quantised: bool = False, some: Any = None) -> bytes:
        function = tf.function(self._infer, input_signature=self._specs(), autograph=False).get_concrete_function()
        with tempfile.TemporaryDirectory() as folder:
            tf.saved_model.save(tf.Module(), folder, signatures={"infer": function})
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["infer"])
            wide = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            converter.target_spec.supported_ops = [*([wide] if some else []), tf.lite.OpsSet.TFLITE_BUILTINS]
            if quantised:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.representative_dataset = some
            try:
                return bytes(converter.convert())
            except Exception as error:
                raise ExportError(
                    f"{self._program.task.name}: the converter refused it: {str(error).strip().splitlines()[0][:300]}"
                ) from error
