"""An experiment over a running fleet: each run is a task of its own, and all of them learn side by side from the same readings."""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from bramble import task
from bramble.api import JSON, Server
from bramble.round import described
from bramble.settings import ExperimentSettings, SideBySideSettings
from bramble.simulation import grid
from bramble.simulation.report import Words
from bramble.simulation.results import Folder, finished
from bramble.simulation.rounds import Played
from bramble.simulation.training import EPOCH
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages.training import Packed
from bramble_server.learning import codec, selection, strategies
from bramble_server.learning.parameters import close
from bramble_server.round_settings import OPTIONED
from bramble_server.settings import TRACKED
from bramble_server.web.tasks import MOST

WITHIN_S = 300.0
"""How long a round waits for enough clients, beside its deadline, and readings for being taken."""
LONGEST = 1000
"""Rounds of a run, and so of an answer."""
KEPT = ("samples", "loss_before", "loss_after", "bytes", "reason", "asked")
"""What a client's part is known by."""


@dataclass(frozen=True)
class One:
    """A run: a cell with a seed."""

    name: str
    """Of the task that learns it, and of the folder of its results."""
    label: str
    settings: SideBySideSettings


class SideBySide:
    """The runs of an experiment's file on a server.

    Parameters
    ----------
    experiment
        What the file says.
    settings
        The command's: how to reach the server, and the key that signs.

    Raises
    ------
    BrambleError
        If the server does not serve the task, or some run could not be: nothing has been started then.
    """

    def __init__(self, experiment: grid.Experiment[SideBySideSettings], settings: ExperimentSettings) -> None:
        self._file, self._common, self._server = experiment.path, experiment.common, Server.of(settings)
        there = {each["task"]: each for each in self._server.tasks()}
        wanted = self._common.task or next(iter(there))
        if wanted not in there:
            raise BrambleError(f"task: {wanted!r} is not served at {self._server.url}{close(wanted, there)}; there are {', '.join(there)}")
        self._graph = GraphFile.read(self._server.graph(there[wanted]["graph"]))
        self._key = None if settings.key is None else _key(settings.key)
        metric = self._graph.manifest.metric
        self._metric = self._graph.manifest.to_wire()["metric"]
        self.runs = [[self._one(cell, seed, own) for seed, own in cell.settings.items()] for cell in experiment.cells]
        able = there[wanted]["able"]
        self.words = Words(
            f"{metric.name} of readings not trained on yet, {metric.unit}",
            f"{able} clients of a running fleet, task {wanted}",
            "the last model's on readings that came after its last round, which were the same for all",
            f"bramble experiment {shlex.quote(experiment.path.name)} --server {self._server.url}",
            "A fleet's readings come but once, so other days give other models. These were:",
        )

    def run(self, folder: Path, progress: Progress) -> list[dict[int, Path]]:
        """Let the fleet learn what it has not learnt yet; return by cell and seed where the results are.

        Raises
        ------
        BrambleError
            If the server refuses or does not answer, or nothing can be said of a model. The same call goes on from there.
        """
        waiting = [one for runs in self.runs for one in runs if finished(folder / one.name) is None]
        if waiting:
            results = {one.name: Folder(folder / one.name, self._about(one.settings)) for one in waiting}
            self._deploy(waiting)
            self._learn(waiting, progress)
            for one in waiting:
                self._write(one, results[one.name])
                self._server.retire(one.name)
        return [{one.settings.seed or 0: folder / one.name for one in runs} for runs in self.runs]

    def _about(self, own: SideBySideSettings) -> dict[str, Any]:
        chosen = {name: getattr(own, name) for name in grid.FLEET if name not in ("task",)}
        return {"version": version("bramble-fl"), "graph": self._graph.sha256, "server": self._server.url, **chosen}

    def _one(self, cell: grid.Cell[SideBySideSettings], seed: int, own: SideBySideSettings) -> One:
        try:
            strategies.named(own.strategy, own.strategy_option).check(self._graph.manifest)
            codec.named(own.codec, own.codec_option)
            selection.named(own.selection, own.selection_option)
        except BrambleError as error:
            raise BrambleError(f"experiment: {self._file}{f', cell {cell.label}' if cell.values else ''}: {error}") from None
        told = json.dumps(self._about(own), sort_keys=True)
        name = f"{self._graph.manifest.task[:40]}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
        return One(name, f"{cell.label}, seed {seed}", own)

    def _deploy(self, runs: Sequence[One]) -> None:
        """Have the server learn all of them, or none."""
        there = [each["task"] for each in self._server.tasks()]
        new = [one for one in runs if one.name not in there]
        if len(new) > (room := MOST - len(there)):
            raise BrambleError(
                f"grid: {len(new)} runs learn side by side, and the server has room for {room} tasks more; take fewer values or seeds, or "
                "retire tasks"
            )
        begun: list[str] = []
        try:
            for one in new:
                graph = self._renamed(one.name)
                signed = "" if self._key is None else task.signature(graph, self._key)
                self._server.deploy(graph.data, signed, _set(one.settings))
                begun.append(one.name)
        except BrambleError:
            for name in begun:
                self._server.retire(name)
            raise

    def _renamed(self, name: str) -> GraphFile:
        graph = self._graph
        return GraphFile.pack(graph.flatbuffer, replace(graph.manifest, task=name), graph.initial, graph.state)

    def _learn(self, runs: Sequence[One], progress: Progress) -> None:
        """Play what is left of their rounds: each of a number, then each of the next."""
        bar = progress.add_task("rounds", total=len(runs) * self._common.rounds)
        done = {one.name: len(self._records(one.name)) for one in runs}
        progress.update(bar, completed=sum(done.values()))
        for number in range(1, self._common.rounds + 1):
            due = [one for one in runs if done[one.name] < number]
            if due:
                self._new_readings(wait=number > 1)
            for one in due:
                opened = self._server.start(one.name, WITHIN_S)["round"]
                self._server.wait(
                    lambda status, opened=opened: status["running"] != opened,  # type: ignore[misc]
                    f"the end of round {opened}",
                    one.settings.deadline + WITHIN_S,
                    task=one.name,
                )
                progress.console.print(f"{one.label}: {described(self._server.round(opened), self._metric)}", soft_wrap=True)
                progress.update(bar, advance=1)
        self._new_readings(wait=True)

    def _new_readings(self, wait: bool) -> None:
        """Let clients measure what none of the models was trained on."""
        if self._common.generate is not None:
            self._server.generate(self._common.generate)
            self._server.wait(lambda status: not status["cycle_waiting_for"], "every client's readings", WITHIN_S)
        if wait:
            time.sleep(self._common.every)

    def _records(self, name: str) -> list[JSON]:
        """Return the rounds of a run that have ended, the oldest first."""
        return [record for record in self._server.rounds(0, LONGEST, name) if record["state"] != "running"]

    def _write(self, one: One, results: Folder) -> None:
        """Keep what became of a run."""
        last = self._server.ended(self._server.evaluate((), one.name)["evaluation"], one.settings.deadline + WITHIN_S)
        [(number, found)] = last["pooled"].items() or [("", None)]
        if found is None:
            raise BrambleError(
                f"{one.label}: no client had a reading that the last model was not trained on; say in [fleet] how long clients measure "
                "between two rounds, such as every = \"1h\", and give the same command again"
            )  # fmt: skip
        played = self._played(one.name, found)
        for each in played:
            results.add(each)
        parts = [part for each in played for part in each.parts.values()]
        summary = {
            "finished": True, "stopped": None, "committed": sum(each.state == "committed" for each in played),
            "simulated_s": played[-1].ended, "trainings": sum(part["samples"] is not None for part in parts),
            "bytes": sum(part["bytes"] or 0 for part in parts), "error": found["error"], "baseline": found["baseline"],
            "unit": self._metric["unit"], "digest": played[-1].digest, "windows": found["samples"], "model": int(number),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        results.write(played, summary)

    def _played(self, name: str, last: Mapping[str, float]) -> list[Played]:
        """Return a run's rounds as a simulation's are told: each with the error that the next one found of its model."""
        records = self._records(name)
        began = records[0]["started"]
        tests = [*(record["test"] or {} for record in records[1:]), last]
        newest = np.frombuffer(self._server.model_file(self._server.model(name)["round"], "bin", name), "<f4")
        digest = Packed(self._graph.manifest.layout, newest.astype(np.float32), "float32").digest
        nothing = float("nan")  # which a curve leaves out
        return [
            Played(
                number, record["state"], record["reason"], record["started"] - began, record["ended"] - began, record["selected"],
                record["updates"], record["metrics"] or {}, test.get("error", nothing), test.get("baseline", nothing), {},
                digest if record is records[-1] else "", {client: _part(part, began) for client, part in record["clients"].items()},
            )
            for number, (record, test) in enumerate(zip(records, tests, strict=True), 1)
        ]  # fmt: skip


def _part(part: JSON, began: float) -> dict[str, Any]:
    replied, test = part.get("replied"), part.get("test") or {}
    measured = {"test_error": test.get("error"), "test_baseline": test.get("baseline")}
    return {name: part.get(name) for name in KEPT} | measured | {"replied": None if replied is None else replied - began + EPOCH}


def _set(own: SideBySideSettings) -> list[str]:
    """Return what is set on the server for a run's task: what the file says, and the seed."""
    chosen = {name: getattr(own, name) for name in own.model_fields_set | {"seed"} if name in TRACKED}
    plain = [f"{name}={value}" for name, value in sorted(chosen.items()) if not isinstance(value, dict)]
    return plain + [f"{each}_option={key}={value}" for each in OPTIONED for key, value in getattr(own, f"{each}_option").items()]


def _key(path: Path) -> Any:
    task.needs_cryptography()
    return task.private_key(path)
