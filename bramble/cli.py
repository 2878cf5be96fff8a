"""``bramble``: the server, a client, the inspector, and the demo that runs them all."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from bramble import completion, flags, logs, permissions, task
from bramble.data.settings import ExportSettings, ImportSettings
from bramble.exit_codes import ExitCode
from bramble.model_settings import (
    ExportModelSettings,
    GetModelSettings,
    ListModelsSettings,
    PinSettings,
    PredictSettings,
    RollbackSettings,
    ShowModelSettings,
    UnpinSettings,
)
from bramble.operating_settings import ResetSettings, ShowClientSettings, SupportSettings
from bramble.quickstart.settings import QuickstartSettings
from bramble.settings import (
    AuditSettings,
    DemoSettings,
    DeployTaskSettings,
    EvaluateSettings,
    ExperimentSettings,
    FleetSettings,
    ForgetSettings,
    GroupsSettings,
    LatestSettings,
    ListClientsSettings,
    ListRoundsSettings,
    ListTasksSettings,
    PrivacyPlanSettings,
    ReceiptSettings,
    ReleaseSettings,
    RetireTaskSettings,
    ShowRoundSettings,
    ShowTaskSettings,
    SimulateSettings,
    StartRoundSettings,
    StopRoundsSettings,
    WatchRoundSettings,
)
from bramble_client.settings import CheckSettings, ClientSettings
from bramble_inspector.settings import InspectorSettings
from bramble_protocol import BrambleError
from bramble_protocol.printable import printable
from bramble_server.settings import ServerSettings

ORDER = (
    *(
        "demo",
        "quickstart",
        "server",
        "client",
        "inspector",
        "fleet",
        "round",
        "evaluate",
        "model",
        "predict",
        "task",
        "reset",
        "strategies",
    ),
    *("simulate", "experiment", "privacy", "data", "sensors", "settings", "token", "support"),
)
"""In which help lists the commands: what runs, what a fleet is led with, what is tried out beforehand, and what is set up."""


class InOrder(TyperGroup):
    """The command, with its commands in an order for readers: typer's puts those last that have others below them."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the names of the commands."""
        return sorted(super().list_commands(ctx), key=ORDER.index)


class SensorsCommand(TyperCommand):
    """The command that hands over to an application of its own, whose commands a shell completes like all others."""

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:  # type: ignore[override]
        """Return what may come next in the other application."""
        from bramble_client.commands.sensors import app as commands

        group = get_command(commands)
        inner = group.make_context("sensors", list(ctx.args), resilient_parsing=True)
        if ctx.args and isinstance(group, TyperGroup) and (command := group.commands.get(ctx.args[0])):
            return command.shell_complete(
                command.make_context(ctx.args[0], list(ctx.args[1:]), parent=inner, resilient_parsing=True), incomplete
            )
        return group.shell_complete(inner, incomplete)


Levels = Literal["debug", "info", "warning", "error"]
Scopes = Literal["metrics", "read", "operate", "admin"]
app = typer.Typer(
    help="Federated learning for fleets of Raspberry Pi sensor clients. Try it: bramble demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut names and variables at the 80 columns of a terminal
    cls=InOrder,
)
app.add_typer(task.app, name="task")
fleet = typer.Typer(help="How every client is, and taking one off the list.", no_args_is_help=True)
app.add_typer(fleet, name="fleet")
rounds = typer.Typer(help="Rounds: start, stop, watch, list and show them.", no_args_is_help=True)
app.add_typer(rounds, name="round")
settings = typer.Typer(help="Settings files, before anything is started with them.", no_args_is_help=True)
app.add_typer(settings, name="settings")
model = typer.Typer(help="The global models: list them, go back to one, pin one.", no_args_is_help=True)
app.add_typer(model, name="model")


def _room(module: str, extra: str, verb: str = "run") -> Callable[[Any], int]:
    """Import a room's function only when it is called, and say which extra brings what is missing."""

    def run(settings: Any) -> int:
        try:
            room = importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise BrambleError(f"{error.name} is not installed; get it with: pip install 'bramble-fl[{extra}]'") from error
        permissions.own(getattr(settings, "folder", None) or getattr(settings, "data_dir", None))
        code: int = getattr(room, verb)(settings)
        return code

    return run


def _without_subcommand(command: Callable[..., None]) -> Callable[..., None]:
    """Run a command only when none below it is asked for."""

    def body(ctx: typer.Context, **given: Any) -> None:
        if ctx.invoked_subcommand is None:
            command(**given)

    signature = inspect.signature(command)
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    body.__signature__ = signature.replace(parameters=[context, *signature.parameters.values()])  # type: ignore[attr-defined]
    body.__annotations__ = {"ctx": typer.Context, **command.__annotations__}
    body.__doc__ = command.__doc__
    return body


app.command("server")(flags.command(ServerSettings, "server", _room("bramble_server.app", "server")))
client = typer.Typer(invoke_without_command=True)
client.callback()(_without_subcommand(flags.command(ClientSettings, "client", _room("bramble.resident", "client"))))
client.command("check", help="Try out sensors, training and the way to the server. A client may be running beside it.")(
    flags.command(CheckSettings, "client", _room("bramble_client.commands.check", "client"))
)
client.command("list")(flags.command(ListClientsSettings, "fleet", _room("bramble.client", "server", "listed")))
client.command("show")(flags.command(ShowClientSettings, "fleet", _room("bramble.client", "server", "shown")))
client.command("forget")(flags.command(ForgetSettings, "fleet", _room("bramble.fleet", "server", "forget")))
client.command("release")(flags.command(ReleaseSettings, "fleet", _room("bramble.client", "server", "released")))
client.command("latest")(flags.command(LatestSettings, "fleet", _room("bramble.latest", "client")))
client.command("receipt")(flags.command(ReceiptSettings, "fleet", _room("bramble.receipt", "client")))
app.add_typer(client, name="client")
inspector = typer.Typer(invoke_without_command=True)
inspector.callback()(_without_subcommand(flags.command(InspectorSettings, "inspector", _room("bramble_inspector.app", "inspector"))))
app.add_typer(inspector, name="inspector")
fleet.command("status")(flags.command(FleetSettings, "fleet", _room("bramble.fleet", "server")))
fleet.command("audit")(flags.command(AuditSettings, "fleet", _room("bramble.audit", "server")))
fleet.command("groups")(flags.command(GroupsSettings, "fleet", _room("bramble.groups", "server")))
fleet.command("forget")(flags.command(ForgetSettings, "fleet", _room("bramble.fleet", "server", "forget")))
rounds.command("start")(flags.command(StartRoundSettings, "fleet", _room("bramble.round", "server", "start")))
rounds.command("stop")(flags.command(StopRoundsSettings, "fleet", _room("bramble.round", "server", "stop")))
rounds.command("watch")(flags.command(WatchRoundSettings, "fleet", _room("bramble.watch", "server")))
rounds.command("list")(flags.command(ListRoundsSettings, "fleet", _room("bramble.round", "server", "listed")))
rounds.command("show")(flags.command(ShowRoundSettings, "fleet", _room("bramble.round", "server", "shown")))
model.command("list")(flags.command(ListModelsSettings, "fleet", _room("bramble.model", "server", "listed")))
model.command("show")(flags.command(ShowModelSettings, "fleet", _room("bramble.model", "server", "shown")))
model.command("rollback")(flags.command(RollbackSettings, "fleet", _room("bramble.model", "server", "rollback")))
task.app.command("list")(flags.command(ListTasksSettings, "fleet", task.listed))
task.app.command("show")(flags.command(ShowTaskSettings, "fleet", task.shown))
task.app.command("deploy")(flags.command(DeployTaskSettings, "fleet", _room("bramble.deploying", "server", "deploy")))
task.app.command("retire")(flags.command(RetireTaskSettings, "fleet", _room("bramble.deploying", "server", "retire")))
app.command("evaluate")(flags.command(EvaluateSettings, "fleet", _room("bramble.evaluate", "server")))
model.command("export")(flags.command(ExportModelSettings, "fleet", _room("bramble.exporting", "server")))
model.command("get")(flags.command(GetModelSettings, "fleet", _room("bramble.model", "server", "get")))
model.command("pin")(flags.command(PinSettings, "fleet", _room("bramble.model", "server", "pin")))
model.command("unpin")(flags.command(UnpinSettings, "fleet", _room("bramble.model", "server", "unpin")))
app.command("reset")(flags.command(ResetSettings, "fleet", _room("bramble.resetting", "server")))
app.command("support")(flags.command(SupportSettings, "fleet", _room("bramble.supporting", "client")))
app.command("predict")(flags.command(PredictSettings, "predict", _room("bramble.predict", "client")))
app.command("simulate")(flags.command(SimulateSettings, "simulate", _room("bramble.simulating", "server,client")))
app.command("experiment")(flags.command(ExperimentSettings, "experiment", _room("bramble.experimenting", "server,client")))
privacy = typer.Typer(help="Differential privacy: what a budget takes.", no_args_is_help=True)
app.add_typer(privacy, name="privacy")
privacy.command("plan")(flags.command(PrivacyPlanSettings, "privacy", _room("bramble.privacy", "server,client")))
app.command("quickstart")(flags.command(QuickstartSettings, "quickstart", _room("bramble.quickstart.run", "server,quickstart")))
data = typer.Typer(help="Other people's recordings, and the way back.", no_args_is_help=True)
app.add_typer(data, name="data")
data.command("import")(flags.command(ImportSettings, "data", _room("bramble.data.importing", "client,data")))
data.command("export")(flags.command(ExportSettings, "fleet", _room("bramble.data.exporting", "server")))
app.command("demo")(flags.command(DemoSettings, "demo", _room("bramble.demo", "server,client,inspector")))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bramble {installed_version('bramble-fl')}")
        raise typer.Exit


@app.callback()
def common(
    log_level: Annotated[
        str,
        typer.Option(
            help="debug, info, warning or error.", metavar="LEVEL", envvar="BRAMBLE_LOG_LEVEL", autocompletion=completion.of(Levels)
        ),
    ] = "info",
    version: Annotated[bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)] = False,
) -> None:
    """Set up what every command shares."""
    level = logging.getLevelNamesMapping().get(log_level.upper())
    if level is None:
        raise BrambleError(f"--log-level: '{log_level}' is not debug, info, warning or error")
    logs.configure(level)


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="The client's id, or with --http a name for the log.", metavar="NAME")],
    http: Annotated[bool, typer.Option("--http", help="For HTTP: the inspector, a script or a person's browser.")] = False,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            autocompletion=completion.of(Scopes),
            help="What an HTTP token opens: metrics (that path alone), read, operate (read, and start rounds and cycles) or admin "
            "(everything, reset too). May be given more than once; operate without it.",
        ),
    ] = None,
    add: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Put the line into this token file; without it, the line goes to stderr.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the secret and the line as JSON, for programs.")] = False,
) -> None:
    """Make a token. The secret goes to stdout, and its hash into the server's --tokens file, which holds nothing else."""
    from bramble import terminal
    from bramble_server.fleet import tokenfile
    from bramble_server.fleet.tokens import client_entry, http_entry, new_token

    if scope and not http:
        raise BrambleError("token: --scope goes with --http; a client's token opens what its own client needs")
    secret, hashed = new_token()
    entry = http_entry(name, hashed, scope or ["operate"]) if http else client_entry(name, hashed)
    if add is not None:
        tokenfile.add(add, entry)
    elif not as_json:
        typer.echo(entry, err=True)
    terminal.tell(as_json, {"name": name, "token": secret, "line": entry, "file": add and str(add)}, secret)


@inspector.command("password")
def password(
    name: Annotated[str, typer.Argument(help="By what name the person logs in, such as anna.", metavar="NAME")],
    scope: Annotated[
        str,
        typer.Option(
            metavar="SCOPE",
            autocompletion=completion.of(Scopes),
            help="What it opens: read, operate (start rounds and cycles too) or admin (everything).",
        ),
    ] = "operate",
) -> None:
    """Make somebody's line for the inspector's --users file. It asks for the password, or reads it from a pipe; the line goes to stdout."""
    try:
        from bramble_inspector import accounts
    except ModuleNotFoundError as error:
        raise BrambleError(f"{error.name} is not installed; get it with: pip install 'bramble-fl[inspector]'") from error
    if sys.stdin.isatty():
        secret = typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True)
    else:
        secret = sys.stdin.readline().rstrip("\r\n")
    typer.echo(accounts.entry(name, secret, scope))


@settings.command("check")
def check_settings(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Settings files (TOML) of server, clients, inspector or fleet; or a folder with an etc/bramble of them, such as a "
            "deployed release: paths in them are then taken to lie below that folder.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of file, table, key and sentence.")] = False,
) -> None:
    """Judge settings as a start would, and start nothing.

    Unknown settings, wrong types and ranges, what does not fit together, and the files that settings name: lists of sensors, recordings,
    graphs. The exit code is 0 if all is well and 1 if not; each thing that is wrong is a line with file, setting, reason and remedy.
    """
    from bramble import settings_check

    raise typer.Exit(settings_check.run(paths, as_json))


@app.command("strategies")
def list_strategies(
    as_json: Annotated[bool, typer.Option("--json", help="Print a list with parameters, ranges and defaults apart.")] = False,
    selections: Annotated[bool, typer.Option("--selections", help="List how the clients of a round may be chosen instead.")] = False,
) -> None:
    """List the strategies that a server can go by. Other packages' are among them, and each has what can be set of it."""
    from bramble import strategies

    raise typer.Exit(strategies.run(as_json, selections))


@app.command(
    help="Find, read, watch and check this machine's sensors.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
    cls=SensorsCommand,
)
def sensors(ctx: typer.Context) -> None:
    """Hand over to the sensors' own commands, which a running client has no need to load."""
    from bramble_client.commands.sensors import app as commands

    commands(args=ctx.args, prog_name="bramble sensors")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; an error that Bramble raised on purpose becomes one sentence on stderr and exit code ``FAILED``."""
    completion.join_words(os.environ)
    try:
        app(args=None if arguments is None else list(arguments), prog_name="bramble")
    except BrambleError as error:
        print(f"bramble: {printable(str(error), None)}", file=sys.stderr)
        sys.exit(ExitCode.FAILED)
