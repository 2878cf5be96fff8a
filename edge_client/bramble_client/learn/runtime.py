"""One small interface over the two TensorFlow Lite runtimes that a Pi may have: ai-edge-litert and tflite-runtime."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.errors import BrambleError

RUNTIMES = ("ai_edge_litert", "tflite_runtime")
"""Packages with an ``interpreter.Interpreter``, the one still maintained first."""


class RuntimeMissing(BrambleError):
    """No TensorFlow Lite runtime is installed, or it does not load."""


class GraphFailed(BrambleError):
    """The runtime could not load or run a graph."""


class Graph(Protocol):
    """Whatever runs a loaded graph's signatures: a :class:`Runtime`, or in a process of its own
    a :class:`bramble_client.learn.runner.Runner`.
    """

    @property
    def signatures(self) -> Collection[str]:
        """Names of the signatures that it has."""

    def __call__(self, signature: str, **inputs: Any) -> dict[str, NDArray[np.float32]]:
        """Run one signature."""


@dataclass(slots=True)
class _Input:
    """What a signature takes under one name."""

    dtype: Any
    shape: list[int]
    """-1 for any size."""
    fits: tuple[int, ...] | None = None
    """The last shape that was found to be such a one."""

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Return whether it takes an array of a shape, which is mostly the last one again."""
        if shape != self.fits:
            if len(shape) != len(self.shape) or any(n not in (-1, m) for n, m in zip(self.shape, shape, strict=True)):
                return False
            self.fits = shape
        return True


class Runtime:
    """A loaded graph whose signatures can be called.

    A call holds no state: what a signature returns follows from its arguments. It runs in C++ without Python's global lock,
    so other threads go on meanwhile. One thread at a time may call.
    """

    def __init__(self, flatbuffer: bytes, threads: int = 1, package: str | None = None) -> None:
        """Load a graph, whose bytes must be whole: tflite-runtime 2.14 crashes on a cut-off one, so check its digest first.

        Parameters
        ----------
        package
            Which of ``RUNTIMES``; by default the first that is installed.

        Raises
        ------
        RuntimeMissing
            If neither runtime, or not the one that is named, can be imported.
        GraphFailed
            If the bytes are not a graph that this runtime can load.
        """
        module = _interpreter_module(RUNTIMES if package is None else (package,))
        self.name = module.__name__.partition(".")[0]
        try:
            self._interpreter: Any = module.Interpreter(model_content=flatbuffer, num_threads=threads)
            self.signatures: dict[str, dict[str, list[str]]] = self._interpreter.get_signature_list()
        except (ValueError, RuntimeError) as error:
            raise GraphFailed(f"graph: {self.name} cannot load it ({_first_line(error)})") from error
        self._runners: dict[str, tuple[Any, dict[str, _Input]]] = {}

    def __call__(self, signature: str, **inputs: Any) -> dict[str, NDArray[np.float32]]:
        """Run one signature.

        Parameters
        ----------
        signature
            Name of the signature, for instance ``fit``.
        **inputs
            Its arguments by name, arrays or numbers; each is turned into the type that the graph takes.

        Raises
        ------
        GraphFailed
            If there is no such signature, an argument is missing or unknown, a shape does not fit, or the runtime gives up.
        """
        runner, expected = self._signature(signature)
        if inputs.keys() != expected.keys():
            wrong = sorted(inputs.keys() ^ expected.keys())
            raise GraphFailed(f"graph: {signature} was called with the wrong arguments ({', '.join(wrong[:5])})")
        arrays = {name: np.asarray(value, expected[name].dtype, order="C") for name, value in inputs.items()}
        for name, array in arrays.items():
            # the runtimes say no more than which node of theirs failed
            if not expected[name].takes(array.shape):
                wanted = f"{name} of shape {expected[name].shape}, -1 being any size"
                raise GraphFailed(f"graph: {signature} takes {wanted}, and got {list(array.shape)}")
        try:
            results: dict[str, NDArray[np.float32]] = runner(**arrays)
        except (ValueError, RuntimeError) as error:
            raise GraphFailed(f"graph: {signature} failed in {self.name} ({_first_line(error)})") from error
        return results

    def prepare(self) -> None:
        """Do what a first call would do before it computes; what the runtime says of itself it says then."""
        self._interpreter.allocate_tensors()

    def _signature(self, name: str) -> tuple[Any, dict[str, _Input]]:
        if name not in self.signatures:
            raise GraphFailed(f"graph: no signature {name!r}, only {', '.join(sorted(self.signatures)) or 'none'}")
        if name not in self._runners:
            runner = self._interpreter.get_signature_runner(name)
            runner._interpreter_wrapper = _KnownShapes(runner._interpreter_wrapper)
            details = runner.get_input_details().items()
            self._runners[name] = runner, {key: _Input(told["dtype"], told["shape_signature"].tolist()) for key, told in details}
        return self._runners[name]


def result(results: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...], dtype: str = "float32") -> NDArray[Any]:
    """Return one of a signature's results, and refuse a graph that does not give it as the manifest promises."""
    found = results.get(name)
    if found is None or found.shape != shape or found.dtype != dtype:
        given = "nothing" if found is None else f"{found.dtype} of shape {list(found.shape)}"
        raise GraphFailed(f"graph: its result {name} should be {dtype} of shape {list(shape)} and is {given}")
    return found


class _KnownShapes:
    """A runner's interpreter that is told an argument's shape only where it is another than the last time, and never that of a scalar.

    A runner tells it every argument's shape in every call, whereupon it plans its memory anew: a sixth of a call's time in a small model.
    And on aarch64, emulated, ai-edge-litert (1.4 to 2.3) does not survive a scalar's, which is empty: a segmentation fault in its
    ``ResizeInputTensor``. tflite-runtime does.
    """

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self._shapes: dict[int, bytes] = {}

    def ResizeInputTensor(self, index: int, shape: NDArray[np.int32], *options: Any) -> None:
        told = shape.tobytes()
        if told and self._shapes.get(index) != told:
            self._interpreter.ResizeInputTensor(index, shape, *options)
            self._shapes[index] = told

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._interpreter, name)
        setattr(self, name, found)  # found at once the next time
        return found


def _interpreter_module(packages: Sequence[str] = RUNTIMES) -> Any:
    problems = []
    for package in packages:
        try:
            return importlib.import_module(f"{package}.interpreter")
        except ImportError as error:
            problems.append(f"{package}: {_first_line(error)}")
    raise RuntimeMissing(f"no TensorFlow Lite runtime loads ({'; '.join(problems)}); install 'bramble-fl[client]'")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
