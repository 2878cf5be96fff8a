"""A model on its way: what is attached to the messages of a round, as bytes of one encoding or in sections, and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from bramble_protocol import codecs, sections
from bramble_protocol.errors import ProtocolError
from bramble_protocol.layout import Layout, Weights


class Packed:
    """A model as it travels: each form of it is made once, however many clients are sent it and however each of them is to train.

    Parameters
    ----------
    layout, weights, encoding
        The model, shape (layout.size,), and how it is encoded.
    """

    def __init__(self, layout: Layout, weights: Weights, encoding: str) -> None:
        self.layout, self.weights, self.encoding = layout, weights, encoding
        self._made: dict[tuple[Any, ...], tuple[bytes, Mapping[str, Weights]]] = {}

    def holds(self, layout: Layout, weights: Weights, encoding: str) -> bool:
        """Whether this is a model in an encoding."""
        return self.weights is weights and (self.layout, self.encoding) == (layout, encoding)

    def form(self, in_sections: bool, beside: Mapping[str, Weights]) -> tuple[bytes, str | None]:
        """Return the bytes that go to a client, with these vectors beside the weights, and in sections what the weights are called.

        What was not asked for before takes its time: a model is encoded, and hashed.
        """
        which = _which(in_sections, beside)
        if which not in self._made:  # the vectors are kept, so that no other array gets their identity
            self._made[which] = attachment(in_sections, self.layout, self.weights, self.encoding, beside=beside), dict(beside)
        return self._made[which][0], self.digest if in_sections else None

    def let_go(self) -> None:
        """Forget the forms that were made; they are made again where they are asked for."""
        self._made.clear()

    def made(self, in_sections: bool, beside: Mapping[str, Weights]) -> bool:
        """Whether these bytes are there already."""
        return _which(in_sections, beside) in self._made

    @cached_property
    def base(self) -> Weights:
        """The weights as a client has them, shape (layout.size,): the base of an answer that says how far it moved from them."""
        if self.encoding == "float32":
            return self.weights
        return codecs.decode(codecs.encode(self.weights, self.layout, self.encoding), self.layout, self.encoding)

    @cached_property
    def digest(self) -> str:
        """What tells these weights from any others, as a client has them: a round's number does not, where a server began anew."""
        known = hashlib.sha256(json.dumps(self.layout.to_wire(), separators=(",", ":")).encode())
        known.update(np.ascontiguousarray(self.base, "<f4").data)
        return known.hexdigest()[:16]


def sent_in_sections(value: Any) -> bool:
    """Whether a message's vectors came in sections."""
    return isinstance(value, dict) and value.get("encoding") == sections.ENCODING


def _which(in_sections: bool, beside: Mapping[str, Weights]) -> tuple[Any, ...]:
    return (in_sections, *((name, id(vector)) for name, vector in beside.items()))


def attachment(
    in_sections: bool, layout: Layout, weights: Weights, encoding: str, base: Weights | None = None,
    beside: Mapping[str, Weights] | None = None, seed: str = "",
) -> bytes:  # fmt: skip
    """Return the bytes of weights, and in sections of the vectors beside them by name; see :func:`codecs.encode`."""
    if not in_sections:
        return codecs.encode(weights, layout, encoding, base, seed=seed)
    plain = codecs.plain(encoding)
    others = [(name, plain, codecs.numbers(vector, layout, plain, what=name).data) for name, vector in (beside or {}).items()]
    return sections.pack([("weights", encoding, codecs.numbers(weights, layout, encoding, base, seed=seed).data), *others])


def vectors(
    item: dict[str, Any], layout: Layout, in_sections: bool, others: Sequence[str]
) -> tuple[tuple[str, Any], dict[str, sections.Section]]:
    """Return encoding and bytes of a message's weights, and of what may come with them; their number is checked and none of them read."""
    if not in_sections:
        if codecs.find(item["encoding"]).instead:
            raise ProtocolError(f"encoding: {item['encoding']} travels in sections alone")
        codecs.fits(item["weights"], layout, item["encoding"])
        return (item["encoding"], item["weights"]), {}
    found = sections.unpack(item["weights"], ("weights", *others))
    if "weights" not in found:
        raise ProtocolError("sections: there is no section weights")
    for name, (encoding, data) in found.items():
        if name != "weights" and codecs.find(encoding, f"sections.{name}").instead:
            raise ProtocolError(f"sections.{name}: only weights travel as {encoding}")
        codecs.fits(data, layout, encoding, name)
    return found.pop("weights"), found


def decoded(beside: Mapping[str, sections.Section], layout: Layout) -> dict[str, Weights]:
    """Return the vectors that came beside the weights."""
    return {name: codecs.decode(data, layout, encoding, what=name) for name, (encoding, data) in beside.items()}
