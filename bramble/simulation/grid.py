"""An experiment's file: what all of its runs have in common, and the grid of what differs."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from bramble import flags
from bramble.settings import SideBySideSettings, SimulateSettings, WorkersSettings
from bramble.simulation.run import Run
from bramble_protocol.errors import BrambleError
from bramble_protocol.nearest import nearest
from bramble_server.round_settings import RoundSettings
from bramble_server.settings import TRACKED

S = TypeVar("S", bound=RoundSettings)
TABLES = ("title", "simulate", "fleet", "grid")
FLEET = tuple(name for name in SideBySideSettings.model_fields if name in TRACKED or name not in RoundSettings.model_fields)
"""Settings of a run of a fleet: not those of rounds that are the same for all of a server's tasks."""
OWN = ("workers", "backend", "ray_address", "log_to", "out", "as_json", "seed")
"""Settings of a simulation that are not a cell's: where and how it runs, and the seed, by which cells are repeated."""


@dataclass(frozen=True)
class Cell(Generic[S]):
    """One point of the grid: runs that differ by their seed alone."""

    values: Mapping[str, Any]
    """What the grid says of it, by setting."""
    settings: Mapping[int, S]
    """By seed."""

    @property
    def label(self) -> str:
        """What a table and a figure call it."""
        return ", ".join(_shown(name, value) for name, value in self.values.items()) or "all alike"

    @property
    def parts(self) -> tuple[str, str]:
        """Its label in two: what the grid varies first, and the others."""
        first, *others = (_shown(name, value) for name, value in self.values.items())
        return first, ", ".join(others)


@dataclass(frozen=True)
class Experiment(Generic[S]):
    """What a file says."""

    path: Path
    title: str
    cells: tuple[Cell[S], ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of every cell."""
        return tuple(self.cells[0].settings)

    @property
    def common(self) -> S:
        """The settings of the first run, for what is the same for all."""
        return self.cells[0].settings[self.seeds[0]]

    def varies(self, name: str) -> bool:
        """Whether cells differ by a setting."""
        return name in self.cells[0].values


def is_of_a_fleet(path: Path) -> bool:
    """Return whether a file says what a running fleet is to learn.

    Raises
    ------
    BrambleError
        If it cannot be read.
    """
    return "fleet" in flags.document(path, "experiment")


def read(path: Path, machine: WorkersSettings) -> Experiment[SimulateSettings]:
    """Read the file of an experiment over simulations, and see that each of them could begin.

    Parameters
    ----------
    path
        A TOML file with ``title``, ``[simulate]`` and ``[grid]``.
    machine
        Where and by whom each simulation is run.

    Raises
    ------
    BrambleError
        Naming the line of what is unknown, wrong, or there twice.
    """
    known = [name for name in SimulateSettings.model_fields if name not in OWN or name == "seed"]
    experiment = _read(path, "simulate", known, SimulateSettings, {name: getattr(machine, name) for name in WorkersSettings.model_fields})
    if len({_ready(path, cell).metric for cell in experiment.cells}) > 1:
        text = path.read_text("utf-8")
        raise _error(path, text, "task", "task: the errors of these tasks cannot be compared; write an experiment for each")
    return experiment


def read_fleet(path: Path) -> Experiment[SideBySideSettings]:
    """Read the file of an experiment over a running fleet.

    Parameters
    ----------
    path
        A TOML file with ``title``, ``[fleet]`` and ``[grid]``.

    Raises
    ------
    BrambleError
        Naming the line of what is unknown, wrong, or there twice.
    """
    experiment = _read(path, "fleet", FLEET, SideBySideSettings, {})
    for name in ("task", "rounds", "every", "generate"):
        if len({getattr(own, name) for cell in experiment.cells for own in cell.settings.values()}) > 1:
            raise _error(path, path.read_text("utf-8"), name, f"{name}: all runs of a fleet go side by side; write {name} in [fleet]")
    return experiment


def _read(path: Path, table: str, known: Sequence[str], cls: type[S], given: Mapping[str, Any]) -> Experiment[S]:
    content = flags.document(path, "experiment")
    text = path.read_text("utf-8")
    for name in content:
        if name not in TABLES:
            raise _error(path, text, name, f"nothing is called {name}{_near(name, TABLES)}")
    if len({"simulate", "fleet"} & content.keys()) > 1:
        raise _error(path, text, "fleet", "an experiment is over simulations or over a fleet; leave [simulate] or [fleet] out")
    title, common, grid = content.get("title", path.stem), content.get(table, {}), content.get("grid", {})
    if not isinstance(title, str) or not title.strip() or not isinstance(common, dict) or not isinstance(grid, dict):
        raise BrambleError(f"experiment: {path}: title is a text, and {table} and grid are tables, written [{table}] and [grid]")
    common, grid = _named(path, text, common, known), _named(path, text, grid, known, together=True)
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise _error(path, text, name, f"{name}: expected a list of values, such as {name} = [{json.dumps(values)}]")
        if twice := next((value for index, value in enumerate(values) if value in values[:index]), None):
            raise _error(path, text, name, f"{name}: {json.dumps(twice)} is there twice; leave one of them out")
        inside = [name, *(each for value in values if name not in cls.model_fields for each in value)]
        if both := next((each for each in inside if each in common), None):
            raise _error(path, text, both, f"{both} is in both [{table}] and [grid]; leave one of them out")
    seeds = grid.pop("seed", [common.pop("seed", 0)])
    points = [_apart(dict(zip(grid, values, strict=True)), cls) for values in itertools.product(*grid.values())]
    cells = []
    for point in points:
        built = [_settings(path, text, cls, {**common, **point, "seed": seed, **given}) for seed in seeds]
        cells.append(Cell(point, {settings.seed or 0: settings for settings in built}))
    return Experiment(path, title, tuple(cells))


def _ready(path: Path, cell: Cell[SimulateSettings]) -> Run:
    """Return a cell's first simulation, which could begin."""
    try:
        return Run(next(iter(cell.settings.values())))
    except BrambleError as error:
        raise BrambleError(f"experiment: {path}{f', cell {cell.label}' if cell.values else ''}: {error}") from None


def _named(path: Path, text: str, table: Mapping[str, Any], known: Sequence[str], together: bool = False) -> dict[str, Any]:
    """Return a table's settings by name; with ``together`` a list of tables may have any name, each of which sets several at once."""
    named = {name.replace("-", "_"): value for name, value in table.items()}
    for name, value in named.items():
        if name in known:
            continue
        if not together or not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
            raise _error(path, text, name, f"nothing is called {name}{_near(name, known)}")
        named[name] = [_named(path, text, each, known) for each in value]
        for inside in dict.fromkeys(each for one in named[name] for each in one):
            if inside in named or inside == "seed":
                raise _error(path, text, inside, f"{inside} is set in {name} and elsewhere; leave one of them out")
    return named


def _apart(point: Mapping[str, Any], cls: type[RoundSettings]) -> dict[str, Any]:
    """Return a point with the settings of tables that set several at once."""
    found: dict[str, Any] = {}
    for name, value in point.items():
        found |= {name: value} if name in cls.model_fields else value
    return found


def _settings(path: Path, text: str, cls: type[S], values: Mapping[str, Any]) -> S:
    given = dict(values)
    for name in cls.optioned:
        if isinstance(given.get(name), dict):
            given[name] = {**given.pop(f"{name}_option", {}), **given[name]}
    if "scenario" in given:
        given["scenario"] = path.parent / str(given["scenario"])
    if "data" in given and (path.parent / str(given["data"])).exists():
        given["data"] = str(path.parent / str(given["data"]))
    try:
        return flags.of_values(cls, given)
    except flags.SettingError as error:
        fault = error.faults[0]
        raise _error(path, text, fault.key, f"{fault.key}: {fault.sentence}") from None


def _error(path: Path, text: str, name: str, sentence: str) -> BrambleError:
    pattern = rf"\s*\[?\"?{re.escape(name).replace('_', '[-_]')}\b"
    line = next((number for number, item in enumerate(text.splitlines(), 1) if re.match(pattern, item)), 1)
    return BrambleError(f"experiment: {path}, line {line}: {sentence}")


def _near(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f", did you mean {near}?" if near else f"; there are {', '.join(known)}"


def _shown(name: str, value: Any) -> str:
    if isinstance(value, dict):
        options = ", ".join(f"{key}={item}" for key, item in value.items() if key != "name")
        return f"{value.get('name', name)}{f' ({options})' if options else ''}"
    return str(value) if name in SimulateSettings.optioned else f"{name}={Path(value).stem if name == 'scenario' else value}"
