"""What a server reads of its settings' files before it opens anything: the graph of each task, and who signed it."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from bramble_protocol import codecs, fields
from bramble_protocol.errors import BrambleError
from bramble_protocol.features import COUNTS, NOISE, SECTIONS, SECURE, TRACKS
from bramble_protocol.graph import GraphFile
from bramble_protocol.interface import SGD
from bramble_protocol.kinds import counted
from bramble_protocol.messages import forecast_of
from bramble_protocol.mqtt.address import way
from bramble_protocol.nearest import nearest
from bramble_server import deployed, tasks
from bramble_server.deployed import Deployed
from bramble_server.fleet.plausibility import Needs
from bramble_server.learning import codec, selection, strategies
from bramble_server.round_settings import OPTIONED
from bramble_server.rounds import secure, synchronous
from bramble_server.rounds.asynchronous import Asynchronous
from bramble_server.rounds.machine import Machine
from bramble_server.settings import ServerSettings
from bramble_server.store import dialect

if TYPE_CHECKING:
    from bramble_protocol.secure.roll import Roll


class Foundation(NamedTuple):
    """What a track is made from: a task's graph, its signatures, its settings."""

    task: str
    """What it is called here: the task's own name, or the one that it is served by."""
    graph: GraphFile
    signatures: bytes
    """The file of signatures beside a graph of one's own; empty without one."""
    settings: ServerSettings
    """The server's, with what is set for this task alone."""
    needs: Needs
    """What a client must have to be asked for its rounds."""
    machine: Machine[Any]
    """The discipline of its rounds."""
    roll: Roll | None = None
    """Whose keys are whose, where secure rounds go by the fleet's roll."""
    first: bool = True
    """Whether it is the task that is meant where none is named."""
    deployed: bool = False
    """Whether it came while the server ran, and can be retired."""

    @property
    def forecast(self) -> str:
        """The channel in which clients mirror their forecasts: the first task's is the target's own, as if there were no other."""
        return forecast_of(self.graph.manifest.target, None if self.first else self.task)


def read(settings: ServerSettings, simulated: bool = False) -> tuple[Foundation, ...]:
    """Read the files that the settings name, and refuse the names that nothing has; return them by task, the first first.

    What was deployed to the server of this data directory comes after what its settings name. Nothing is opened, made or started: this
    also judges settings on a machine on which they are not to run.

    Parameters
    ----------
    simulated
        Whether it is for clients that nobody owes anything: noise needs no budget then.

    Raises
    ------
    BrambleError
        If a server could not start with them, in one sentence.
    """
    served = [_called(given) for given in settings.task]
    by_name = [name for _, name in served if not name.endswith(".tflite")]
    found: dict[str, Foundation] = {}
    called: dict[str, str] = {}
    asked = tasks.Terms(settings.horizon, settings.step, settings.window)
    for other, name in served:
        terms = asked if name in by_name or not by_name else tasks.Terms()  # where no task could take them, one says so
        graph, signatures = tasks.load(name, terms), tasks.signatures_of(name)
        task = other or graph.manifest.task
        if task in found:
            same = found[task].graph.sha256 == graph.sha256
            what = "is given twice" if same else f"is what two graphs are called, {called[task]} and {name}"
            remedy = f"leave one of them out, or give it another name, as in {task}-2={name}" if same else "give one of them another name"
            raise BrambleError(f"task: {task} {what}; {remedy}")
        called[task] = name
        found[task] = _built(task, settings.of(task), graph, signatures, settings.track.get(task, {}), first=not found)
    for each in deployed.read(settings.data_dir):
        if each.task not in found:
            found[each.task] = of(settings, each)
        elif found[each.task].graph.sha256 != each.graph.sha256:
            raise BrambleError(
                f"task: another {each.task} than {called[each.task]} is deployed here; leave --task {called[each.task]} out, or without it "
                f"retire that one: bramble task retire {each.task}"
            )
    for task in settings.track:
        if task not in found:
            near = nearest(task, found)
            meant = f", did you mean {near}?" if near else ""
            raise BrambleError(f"track: there are settings for task {task[:63]}, which is not served{meant}; served are {', '.join(found)}")
    if not simulated:
        for track in found.values():
            _budgeted(track)
    if settings.database:
        dialect.parse(settings.database)
    if settings.mqtt is not None:
        way(settings.mqtt, settings.mqtt_login, settings.mqtt_ca)
    return tuple(found.values())


def of(settings: ServerSettings, task: Deployed) -> Foundation:
    """Return what a deployed task's track is made from, on a server with these settings.

    Raises
    ------
    BrambleError
        If it could not be served with them, in one sentence.
    """
    chosen = {item.partition("=")[0].replace("-", "_") for item in task.chosen}
    built = _built(
        task.task, task.settings(settings), task.graph, task.signatures, chosen | settings.track.get(task.task, {}).keys(), first=False
    )
    _budgeted(built)
    return built._replace(deployed=True)


def _built(task: str, own: ServerSettings, graph: GraphFile, signatures: bytes, chosen: Collection[str], first: bool) -> Foundation:
    """Check that a task can be learnt with these settings, of which those that are ``chosen`` are its own."""
    codecs.encoded_size(graph.manifest.layout, own.encoding)
    try:
        strategy = strategies.named(own.strategy, own.strategy_option)
        travels = codec.named(own.codec, own.codec_option)
        sample, share = selection.named(own.selection, own.selection_option), own.clients_per_round
        count = share if isinstance(share, int) else None
        if graph.manifest.interface.slots not in ((), SGD) and strategy.needs:
            raise BrambleError(
                f"strategy: {strategy.name} reckons with plain steps, and clients step by Adam in task {task}; take fedavg or fedadam"
            )
        strategy.suit(
            own.mode, own.min_clients, own.min_updates, travels.name, own.discipline, sample if share else None, count, own.secure
        )
    except BrambleError as error:
        where = f"track: {task}." if {*OPTIONED, *(f"{what}_option" for what in OPTIONED)} & set(chosen) else ""
        raise BrambleError(f"{where}{error}") from None
    counts = [SECTIONS, COUNTS] if counted(graph.manifest) else []
    sums = [SECURE, *([NOISE] if strategy.kind.summable else [])] if own.secure else []
    needs = Needs(
        tuple(graph.manifest.channels),
        (*([] if first else [TRACKS]), *strategy.needs, *counts, *sums),
        own.well,
        own.group,
        graph.manifest.optional,
    )
    return Foundation(task, graph, signatures, own, needs, _machine(own), _roll(own), first)


def _budgeted(track: Foundation) -> None:
    """Check that noise has a budget and a budget noise, and that it covers all that goes to clients."""
    own, name = track.settings, track.settings.strategy
    noisy = strategies.named(name, own.strategy_option).make().release is not None
    if noisy and own.epsilon is None:
        raise BrambleError(f"strategy: {name} adds noise to keep a budget; say with --epsilon which (see bramble privacy plan)")
    if noisy and counted(track.graph.manifest):
        raise BrambleError(
            f"strategy: {name} covers the model alone, and in task {track.task} clients are told of each other's counts beside it; "
            "take a task that forecasts, or a strategy without noise"
        )
    if own.epsilon is not None and own.evaluate_every is not None:
        raise BrambleError(f"evaluate_every: {track.task} has a privacy budget (epsilon), and what clients say of models has no noise")
    if own.epsilon is not None and not noisy:
        raise BrambleError(f"epsilon: {name} adds no noise, so nothing would keep a budget; say --strategy dp, or dp+{name}")


def _called(given: str) -> tuple[str | None, str]:
    """Take ``north=climate`` apart: the name that a task is served by, if it is not its own, and where the task comes from."""
    name, equals, source = given.partition("=")
    return (name, source) if equals and fields.CLIENT_ID.fullmatch(name) else (None, given)


def _machine(settings: ServerSettings) -> Machine[Any]:
    if settings.discipline == "asynchronous":
        return Asynchronous(settings.buffer, settings.max_staleness, settings.concurrency)
    return secure if settings.secure else synchronous


def _roll(settings: ServerSettings) -> Roll | None:
    """Return the fleet's roll, and see that secure rounds can be had here at all."""
    if not settings.secure:
        return None
    if find_spec("cryptography") is None:
        raise BrambleError("secure: the package cryptography is not installed here: pip install 'bramble-fl[server,secure]'")
    from bramble_protocol.secure.roll import Roll

    return None if settings.roll is None else Roll.read(settings.roll)
