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

    index: int
    """The runtime's number for it."""
    dtype: Any
    shape: list[int]
    """-1 for any size."""
    told: tuple[int, ...] | None = None
    """The shape of the last array, which the interpreter was told."""

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Return whether it takes an array of a shape."""
        return len(shape) == len(self.shape) and all(n in (-1, m) for n, m in zip(self.shape, shape, strict=True))


class _Signature:
    """One signature, with what the runtime's own runner calls behind it.

    That runner tells the interpreter every argument's shape in every call, whereupon it plans its memory anew: a sixth of a call's time in
    a small model. Here it is told a shape only where it is another than the last time, and never that of a scalar: on aarch64, emulated,
    ai-edge-litert (1.4 to 2.3) does not survive it, which is empty: a segmentation fault in its ``ResizeInputTensor``. tflite-runtime does.
    """

    def __init__(self, name: str, runner: Any) -> None:
        self.name, self._subgraph = name, runner._subgraph_index
        interpreter = runner._interpreter_wrapper
        self._resize, self._allocate, self._set = interpreter.ResizeInputTensor, interpreter.AllocateTensors, interpreter.SetTensor
        self._invoke, self._get = interpreter.Invoke, interpreter.GetTensor
        self._outputs = tuple(runner._outputs)
        self.inputs = {
            key: _Input(runner._inputs[key], told["dtype"], told["shape_signature"].tolist())
            for key, told in runner.get_input_details().items()
        }

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
        """Run it; the arguments are those that it takes, by name."""
        arrays = []
        for name, value in inputs.items():
            taken = self.inputs[name]
            array = np.asarray(value, taken.dtype, order="C")
            if array.shape != taken.told:
                self._reshape(name, taken, array.shape)
            arrays.append((taken.index, array))
        self._allocate(self._subgraph)
        for index, array in arrays:
            self._set(index, array, self._subgraph)
        self._invoke(self._subgraph)
        return {name: self._get(index, self._subgraph) for name, index in self._outputs}

    def _reshape(self, name: str, taken: _Input, shape: tuple[int, ...]) -> None:
        if not taken.takes(shape):  # the runtimes say no more than which node of theirs failed
            wanted = f"{name} of shape {taken.shape}, -1 being any size"
            raise GraphFailed(f"graph: {self.name} takes {wanted}, and got {list(shape)}")
        if shape:
            self._resize(taken.index, np.array(shape, np.int32), False, self._subgraph)
        taken.told = shape


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
        self._called: dict[str, _Signature] = {}

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
        called = self._signature(signature)
        if inputs.keys() != called.inputs.keys():
            wrong = sorted(inputs.keys() ^ called.inputs.keys())
            raise GraphFailed(f"graph: {signature} was called with the wrong arguments ({', '.join(wrong[:5])})")
        try:
            return called(inputs)
        except (ValueError, RuntimeError) as error:
            raise GraphFailed(f"graph: {signature} failed in {self.name} ({_first_line(error)})") from error

    def prepare(self) -> None:
        """Do what a first call would do before it computes; what the runtime says of itself it says then."""
        self._interpreter.allocate_tensors()

    def _signature(self, name: str) -> _Signature:
        if name not in self.signatures:
            raise GraphFailed(f"graph: no signature {name!r}, only {', '.join(sorted(self.signatures)) or 'none'}")
        if name not in self._called:
            self._called[name] = _Signature(name, self._interpreter.get_signature_runner(name))
        return self._called[name]


def result(results: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...], dtype: str = "float32") -> NDArray[Any]:
    """Return one of a signature's results, and refuse a graph that does not give it as the manifest promises."""
    found = results.get(name)
    if found is None or found.shape != shape or found.dtype != dtype:
        given = "nothing" if found is None else f"{found.dtype} of shape {list(found.shape)}"
        raise GraphFailed(f"graph: its result {name} should be {dtype} of shape {list(shape)} and is {given}")
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
