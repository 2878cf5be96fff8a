"""Graphs that were damaged where it hurts: numbers in the model's structure are replaced, in place."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped, unused-ignore]

NUMBERS = (-2, -1, 0, 1, 2, 3, 7, 31, 255, 4096, 1 << 20, (1 << 31) - 1)


class Place(NamedTuple):
    """Where a number of the structure stands: its offset, its bytes, and how many values make sense there."""

    at: int
    size: int
    values: int


def mutant(flatbuffer: bytes, number: int) -> bytes:
    """Return a graph's damaged copy; the same number gives the same damage.

    One in four has single words of the file replaced, which breaks offsets and lengths. In the others a few numbers that mean
    something are: which tensors an operator reads and writes, and which operator it is; shapes, types and buffers of tensors;
    what a loop calls, constants, and where a signature's arguments go.
    """
    choose, data = random.Random(number), bytearray(flatbuffer)
    kinds = places(flatbuffer)
    for _ in range(choose.randint(1, 3)):
        if number % 4 == 0:
            place = Place(4 * choose.randrange(len(data) // 4 - 1), 4, 1 << 31)
        else:
            place = choose.choice(kinds[choose.choice(sorted(kinds))])
        value = choose.choice((choose.randrange(place.values), choose.choice(NUMBERS)))
        data[place.at : place.at + place.size] = (value & ((1 << 8 * place.size) - 1)).to_bytes(place.size, "little")
    return bytes(data)


@lru_cache(1)
def places(flatbuffer: bytes) -> dict[str, list[Place]]:
    """Return all numbers of a model's structure by what they mean."""
    model = schema.Model.GetRootAs(flatbuffer, 0)
    found: dict[str, list[Place]] = {}
    parts = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    for part in parts:
        tensors = part.TensorsLength()
        for operator in (part.Operators(i) for i in range(part.OperatorsLength())):
            found.setdefault("operator", []).extend(_field(operator, 0, 4, model.OperatorCodesLength()))
            found.setdefault("inputs", []).extend(_vector(operator, 1, tensors))
            found.setdefault("outputs", []).extend(_vector(operator, 2, tensors))
            if operator.BuiltinOptionsType() == schema.BuiltinOptions.WhileOptions:
                found.setdefault("loop", []).extend(p for slot in (0, 1) for p in _field(operator.BuiltinOptions(), slot, 4, len(parts)))
        for tensor in (part.Tensors(i) for i in range(tensors)):
            found.setdefault("shape", []).extend(_vector(tensor, 0, 64))
            found.setdefault("type", []).extend(_field(tensor, 1, 1, 20))
            found.setdefault("buffer", []).extend(_field(tensor, 2, 4, model.BuffersLength()))
    for buffer in (model.Buffers(i) for i in range(model.BuffersLength())):
        if not buffer.DataIsNone():
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            found.setdefault("constant", []).extend(Place(start + at, 4, 64) for at in range(0, buffer.DataLength() - 3, 4))
    for signature in (model.SignatureDefs(i) for i in range(model.SignatureDefsLength())):
        maps = [signature.Inputs(i) for i in range(signature.InputsLength())] + [
            signature.Outputs(i) for i in range(signature.OutputsLength())
        ]
        found.setdefault("signature", []).extend(place for item in maps for place in _field(item, 1, 4, 50))
    return {kind: each for kind, each in found.items() if each}


def _field(table: Any, slot: int, size: int, values: int) -> Iterator[Place]:
    """Yield a table's scalar of this slot, unless it is left at its default and not in the file."""
    offset = table._tab.Offset(4 + 2 * slot) if hasattr(table, "_tab") else table.Offset(4 + 2 * slot)
    if offset:
        yield Place((table._tab if hasattr(table, "_tab") else table).Pos + offset, size, max(1, values))


def _vector(table: Any, slot: int, values: int) -> Iterator[Place]:
    offset = table._tab.Offset(4 + 2 * slot)
    if offset:
        start = table._tab.Vector(offset)
        for index in range(table._tab.VectorLen(offset)):
            yield Place(start + 4 * index, 4, max(1, values))
