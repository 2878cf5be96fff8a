"""``bramble model``: the global models that are kept, how good each is, and the way back to one of them."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
from rich.markup import escape

from bramble import terminal
from bramble.api import JSON, Server
from bramble.model_settings import (
    GetModelSettings,
    ListModelsSettings,
    PinSettings,
    RollbackSettings,
    ShowModelSettings,
    UnpinSettings,
)
from bramble.round import went_by
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile
from bramble_protocol.layout import Layout
from bramble_protocol.printable import printable


def listed(settings: ListModelsSettings) -> int:
    """Print the models that are kept, oldest first; return 0."""
    server = Server.of(settings)
    kept = server.models(settings.task)
    if settings.as_json:
        print(json.dumps(kept, indent=2))
        return 0
    if not kept:
        print("no model yet but the initial one; each round that commits makes one")
        return 0
    metric = server.status(settings.task)["manifest"]["metric"]
    for record in kept:
        when = datetime.fromtimestamp(record["ended"]).strftime("%Y-%m-%d %H:%M")
        terminal.console().print(f"{when}  {_one(record, metric)}", soft_wrap=True)
    return 0


def _one(record: JSON, metric: dict[str, str]) -> str:
    """Return one model in one line: its own error, which a later round found, and not that of the model that its round began with."""
    text = f"round {record['round']:>3}  "
    held_out = record["held_out"]
    if held_out is None:
        text += "not tested yet"
    else:
        text += f"{held_out['metric']} {held_out['error']:.2f} {held_out['unit']}"
        if held_out["baseline"] is not None:
            text += f", {metric['baseline'].partition(':')[0]} {held_out['baseline']:.2f} {held_out['unit']}"
        text += f" over {held_out['samples']} windows"
    marks = [word for word in ("champion", "pinned") if record[word]]
    text += f"  [green]{', '.join(marks)}[/]" if marks else ""
    text += f"  {record['worse']} rounds better than the newest" if record["worse"] else ""
    return text + (f"  [yellow]{escape(printable(record['reason']))}[/]" if record["rollback_of"] else "")


def shown(settings: ShowModelSettings) -> int:
    """Print what is known of one model; return 0.

    Raises
    ------
    ServerError
        If it is not kept, or the server refuses or does not answer.
    """
    server = Server.of(settings)
    found = server.model_of(settings.number, settings.task)
    record = next(each for each in server.models(settings.task) if each["round"] == settings.number)
    layout = Layout.from_wire(found["layout"])
    tensors = [
        {"name": tensor.name, "shape": list(tensor.shape), "norm": float(np.linalg.norm(np.ravel(found["weights"][tensor.name])))}
        for tensor in layout.tensors
    ]
    if settings.as_json:
        print(json.dumps({**record, "tensors": tensors}, indent=2))
        return 0
    console = terminal.console()
    console.print(_one(record, server.status(settings.task)["manifest"]["metric"]), soft_wrap=True)
    for line in went_by(record):
        console.print(f"  {escape(line)}", soft_wrap=True)
    console.print(f"  {layout.size} weights", soft_wrap=True)
    rows = [
        (str(each["name"]), " x ".join(map(str, tensor.shape)), f"{each['norm']:.4g}")
        for each, tensor in zip(tensors, layout.tensors, strict=True)
    ]
    console.print(terminal.table(("tensor", "shape", "norm"), rows))
    return 0


def rollback(settings: RollbackSettings) -> int:
    """Bring an older model back; return 0.

    Raises
    ------
    ServerError
        If the server refuses, or does not answer.
    """
    server = Server.of(settings)
    answer = server.rollback(settings.number, settings.task)
    text = f"the model of round {answer['rollback_of']} is the global one again, as round {answer['round']}"
    terminal.tell(settings.as_json, answer, text)
    return 0


def pin(settings: PinSettings) -> int:
    """Have a model be the champion whatever comes; return 0.

    Raises
    ------
    ServerError
        If the server refuses, or does not answer.
    """
    answer = Server.of(settings).pin(settings.number, settings.task)
    terminal.tell(settings.as_json, answer, f"the model of round {answer['pinned']} is the champion until bramble model unpin")
    return 0


def unpin(settings: UnpinSettings) -> int:
    """Let the best model be the champion again; return 0."""
    answer = Server.of(settings).unpin(settings.task)
    former = answer["unpinned"]
    text = "no model was pinned" if former is None else f"the model of round {former} is the champion for as long as none is better"
    terminal.tell(settings.as_json, answer, text)
    return 0


def get(settings: GetModelSettings) -> int:
    """Write a model as a graph file with its weights inside; return 0.

    Raises
    ------
    BrambleError
        If the server refuses or does not answer, or the file cannot be written.
    """
    server = Server.of(settings)
    status = server.status(settings.task)
    graph = GraphFile.read(server.graph(status["graph"]))
    found = server.model(settings.task) if settings.number is None else server.model_of(settings.number, settings.task)
    layout = graph.manifest.layout
    weights = np.concatenate([np.ravel(np.asarray(found["weights"][tensor.name], np.float32)) for tensor in layout.tensors])
    packed = GraphFile.pack(graph.flatbuffer, graph.manifest, weights, graph.state)
    try:
        settings.output.write_bytes(packed.data)
    except OSError as error:
        raise BrambleError(f"model get: cannot write {settings.output} ({error.strerror}); say where with --output") from None
    told = {"file": str(settings.output), "round": found["round"], "task": status["task"]}
    text = f"{settings.output}: the model of round {found['round']} of {status['task']}, for bramble predict"
    terminal.tell(settings.as_json, told, text)
    return 0
