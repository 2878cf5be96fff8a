"""Kinds of task: what a graph's first output says of a window, what its first target must be, and what a client counts to have it judged.

What is counted is vectors by name that pool by addition (:data:`Counts`), so the server's sums over clients are exact.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bramble_protocol import fields
from bramble_protocol.errors import ProtocolError

if TYPE_CHECKING:
    from bramble_protocol.graph import Manifest

LABEL = "label"
"""The channel of what a person says: the number of a class of the task's, from one press of the button until the next."""
MOST_CLASSES = 32
PER_DECADE, LOWEST, DECADES = 16, 1e-6, 12
"""Bins of a histogram of errors: from 1e-6 to 1e6, each 10^(1/16) times as wide as the one before, and one more at either end."""
BINS = PER_DECADE * DECADES + 2
CONFUSION, FRESH, ALL, FAULTS = "confusion", "fresh", "all", "faults"
SEEN = "seen"
"""What a server keeps of confusions: how many windows of each class there ever were."""

Counts = Mapping[str, tuple[float, ...]]
"""What a client counted, by name; absent where it is all zeros."""


@dataclass(frozen=True)
class Kind:
    """What sort of answer a task's graph gives.

    * ``forecast``: the first output forecasts the first target, in its shape.
    * ``classify``: the first output is a probability for each class, shape (classes,), and the first target the number of the true one,
      ``int32`` of shape (). A window without a label, or over which the label changes, is not trained on.
    * ``reconstruct``: the first output is an error, shape (), at least 0: how badly the window is made of what the model keeps of it.
      No target, or one, ``int32`` of shape () and of an optional channel: 1 where the window is a known fault, which is not trained on.
    """

    name: str = "forecast"
    classes: tuple[str, ...] = ()
    """Of ``classify``: what each number is called."""
    edges: tuple[float, ...] = ()
    """Of ``classify``: the rule by which a channel's value is a class: that of number i from ``edges[i - 1]`` on and below ``edges[i]``;
    empty where the value is the number itself."""
    alarm_rate: float | None = None
    """Of ``reconstruct``: the part of ordinary windows whose error may be above the threshold."""

    @classmethod
    def from_wire(cls, value: Any) -> Kind:
        """Read and check the JSON form.

        Raises
        ------
        ProtocolError
            Naming the first field that is missing, unknown or out of range.
        """
        what = "manifest.kind"
        name = value.get("name") if isinstance(value, dict) else None
        wanted = {"classify": ("classes",), "reconstruct": ("alarm_rate",)}.get(name if isinstance(name, str) else "")
        if wanted is None:
            raise ProtocolError(f"{what}: expected an object whose name is classify or reconstruct; a forecast has none")
        item = fields.mapping(value, what, ("name", *wanted), ("edges",) if name == "classify" else ())
        if name == "reconstruct":
            return cls(name, alarm_rate=fields.number(item["alarm_rate"], f"{what}.alarm_rate", 1e-6, 0.5))
        classes, edges = item["classes"], item.get("edges", [])
        if not isinstance(classes, list) or not 2 <= len(classes) <= MOST_CLASSES:
            raise ProtocolError(f"{what}.classes: expected a list of 2 to {MOST_CLASSES} names")
        read = tuple(fields.label(each, f"{what}.classes[{i}]", 63) for i, each in enumerate(classes))
        if len(set(read)) < len(read):
            raise ProtocolError(f"{what}.classes: two have one name; call one of them otherwise")
        if not isinstance(edges, list) or len(edges) not in (0, len(read) - 1):
            raise ProtocolError(f"{what}.edges: expected {len(read) - 1} numbers, one between each two classes, or none")
        rule = tuple(fields.number(each, f"{what}.edges[{i}]") for i, each in enumerate(edges))
        if any(later <= earlier for earlier, later in itertools.pairwise(rule)):
            raise ProtocolError(f"{what}.edges: expected numbers that increase")
        return cls("classify", read, rule)

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form of a kind that is not ``forecast``."""
        if self.name == "reconstruct":
            return {"name": self.name, "alarm_rate": self.alarm_rate}
        return {"name": self.name, "classes": list(self.classes), **({"edges": list(self.edges)} if self.edges else {})}

    @property
    def forecasts(self) -> bool:
        """Whether it forecasts measures."""
        return self.name == "forecast"


FORECAST = Kind()


def agree(manifest: Manifest) -> None:
    """Check that a manifest's targets, outputs and masks are what its kind and its optional channels need.

    Raises
    ------
    ProtocolError
        Naming what is not.
    """
    face, kind, what = manifest.interface, manifest.kind, "manifest.interface"
    first = face.outputs[0]
    if kind.name == "classify":
        label = face.targets[0]
        if (label.shape, label.dtype, label.mask) != ((), "int32", False):
            raise ProtocolError(f"{what}.targets[0]: a task that classifies has the class's number there, int32 of shape []")
        if (first.shape, first.dtype) != ((len(kind.classes),), "float32"):
            raise ProtocolError(f"{what}.outputs[0]: expected the probabilities of its {len(kind.classes)} classes, float32")
    if kind.name == "reconstruct":
        if (first.shape, first.dtype) != ((), "float32"):
            raise ProtocolError(f"{what}.outputs[0]: a task that reconstructs has a window's error there, float32 of shape []")
        if any((t.shape, t.dtype, t.channel in manifest.optional) != ((), "int32", True) for t in face.targets) or len(face.targets) > 1:
            raise ProtocolError(
                f"{what}.targets: a task that reconstructs has none, or known faults of an optional channel, int32 of shape []"
            )
    keys = {channel.key for channel in manifest.channels}
    if odd := [key for key in manifest.optional if key not in keys]:
        raise ProtocolError(f"manifest.optional: {odd[0]!r} is not one of its channels")
    if not keys - set(manifest.optional):
        raise ProtocolError("manifest.optional: all its channels are; at least one must be there")
    if manifest.target in manifest.optional:
        raise ProtocolError(
            f"manifest.target: {manifest.target} is optional; take a channel that every client has, and the other as a further target"
        )
    masked = {key for part in face.inputs if part.mask for key in part.channels}
    weighed = {(part.channel, part.horizons) for part in face.targets if part.mask}
    for part in face.inputs:
        if bare := [key for key in part.channels if key in manifest.optional and key not in masked]:
            raise ProtocolError(f"{what}.inputs: {bare[0]} is optional and no input is its mask")
    for target in face.targets:
        if kind.forecasts and target.channel in manifest.optional and (target.channel, target.horizons) not in weighed:
            raise ProtocolError(f"{what}.targets: {target.name} is of an optional channel and no target is its mask")
    if face.measured and not kind.forecasts:
        raise ProtocolError(f"{what}.measured: a task that does not forecast has no targets that are measured apart")


def counted(manifest: Manifest) -> dict[str, int]:
    """Return what clients count of a task's tests, each vector's name and length; nothing for a forecast of one target.

    * ``target.NAME`` of each target that is measured apart: windows in which it is known, and over these the sums of error and baseline.
    * ``confusion`` of a task that classifies: windows by true class and by the one found, row by row.
    * ``fresh``, ``all`` and ``faults`` of one that reconstructs: histograms of errors over windows that arrived since the client last
      trained, over all of its windows, and over those known to be faults; all with the weights that came.
    """
    kind = manifest.kind
    if kind.name == "classify":
        return {CONFUSION: len(kind.classes) ** 2}
    if kind.name == "reconstruct":
        return {FRESH: BINS, ALL: BINS, **({FAULTS: BINS} if manifest.interface.targets else {})}
    return {f"target.{name}": 3 for name in manifest.interface.measured}


def counts_from_wire(value: Any, wanted: Mapping[str, int] | None = None) -> dict[str, tuple[float, ...]]:
    """Read and check what a client counted.

    Parameters
    ----------
    wanted
        What its task has clients count, as :func:`counted` says; None: anything of that form.

    Raises
    ------
    ProtocolError
        Naming what was not asked for, or is no vector of its length of numbers from 0 to 1e12.
    """
    if not isinstance(value, dict) or len(value) > 64:
        raise ProtocolError("counts: expected an object of at most 64 vectors")
    read = {}
    for key, vector in value.items():
        name = fields.text(key, "counts name", 80)
        if wanted is not None and name not in wanted:
            raise ProtocolError(f"counts: {name[:63]!r} is nothing that this task has counted")
        most = MOST_CLASSES**2 if wanted is None else wanted[name]
        if not isinstance(vector, list) or not 0 < len(vector) <= most or (wanted is not None and len(vector) != most):
            raise ProtocolError(f"counts.{name}: expected a list of {most} numbers")
        read[name] = tuple(fields.number(each, f"counts.{name}", 0, 1e12) for each in vector)
    return read


def windows_in(name: str, vector: tuple[float, ...]) -> float:
    """Return over how many windows something was counted."""
    return vector[0] if name.startswith("target.") else sum(vector)


def pooled(*parts: Counts) -> dict[str, tuple[float, ...]]:
    """Return the sums of what several counted."""
    found: dict[str, tuple[float, ...]] = {}
    for part in parts:
        for name, vector in part.items():
            found[name] = tuple(map(sum, zip(found[name], vector, strict=True))) if name in found else tuple(vector)
    return found
