"""One settings class, three ways to set it: flags, then ``BRAMBLE_ROOM_*`` in the environment, then a table of a TOML file."""

from __future__ import annotations

import difflib
import inspect
import os
import tomllib
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from protocol import BrambleError

S = TypeVar("S", bound=BaseSettings)


SHARED = ("server", "ca")
"""What means the same to every command, and so is one variable for all of them: ``BRAMBLE_SERVER``, ``BRAMBLE_CA``."""

SECRETIVE = ("token", "proxy", "database", "password")
"""Words in the names of settings whose value may hold a secret, and so is not shown."""

_tables: dict[str, set[str]] = {table: set() for table in ("server", "client", "inspector", "fleet", "demo")}
"""Tables of a TOML file that some command reads, and the settings that they may hold."""


class SettingError(BrambleError):
    """A setting is unknown, malformed or contradicts another; the text names it and where it was set."""


def load(cls: type[S], table: str, flags: dict[str, Any], config: Path | None) -> S:
    """Build settings from flags, environment and one table of a TOML file, in that order of precedence.

    Parameters
    ----------
    cls
        The room's settings class.
    table
        Name of the table in the TOML file, for instance ``server``.
    flags
        Values given on the command line; ``None`` means that a flag was not given.
    config
        The TOML file, or ``None`` for none.

    Raises
    ------
    SettingError
        Naming every field at fault, or the line at which the file is malformed.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    from_file = _read_toml(config, table, cls) if config else {}
    _refuse_former_variables(cls)
    shared = {name: value for name in SHARED if name in cls.model_fields and (value := os.environ.get(f"BRAMBLE_{name.upper()}"))}

    class Layered(cls):  # type: ignore[misc, valid-type]
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource | Callable[[], dict[str, Any]], ...]:
            return init_settings, env_settings, lambda: shared, lambda: from_file

    Layered.__name__ = cls.__name__
    try:
        return Layered(**given)
    except ValidationError as error:
        raise SettingError("; ".join(_sentence(item, given, shared, from_file, cls) for item in error.errors())) from None


def variable(cls: type[BaseSettings], name: str) -> str:
    """Return the variable that sets a field, with the command's name in it, so that a server's port is not the inspector's too."""
    return f"BRAMBLE_{name.upper()}" if name in SHARED else f"{cls.model_config['env_prefix']}{name.upper()}"


def _refuse_former_variables(cls: type[BaseSettings]) -> None:
    for name in cls.model_fields:
        former, now = f"BRAMBLE_{name.upper()}", variable(cls, name)
        if former != now and former in os.environ and now not in os.environ:
            raise SettingError(f"{former}: several commands would take it for theirs; write {now}")


def _read_toml(path: Path, table: str, cls: type[BaseSettings]) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingError(f"--config: cannot read {path} ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"--config: {path} is not TOML: {error}") from None
    _refuse_unknown_tables(path, document, table)
    values = document.get(table, {})
    if not isinstance(values, dict):
        raise SettingError(f"{path}: '{table}' must be a table, written [{table}]")
    values = {name.replace("-", "_"): value for name, value in values.items()}
    known = set(cls.model_fields) | _tables.get(table, set())
    unknown = sorted(set(values) - known)
    if unknown:
        raise SettingError(
            f"{path}: [{table}] has no setting '{unknown[0]}'{_meant(unknown[0], known)}; it knows {', '.join(sorted(known))}"
        )
    return {name: value for name, value in values.items() if name in cls.model_fields}


def _refuse_unknown_tables(path: Path, document: dict[str, Any], table: str) -> None:
    known = {table, *_tables}
    for name, value in document.items():
        if name not in known:
            what = f"table [{name}]" if isinstance(value, dict) else f"setting '{name}' outside of a table"
            raise SettingError(f"{path}: no command reads the {what}{_meant(name, known)}; it knows [{'], ['.join(sorted(known))}]")


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f", did you mean '{close[0]}'?" if close else ""


def _sentence(item: Any, given: dict[str, Any], shared: dict[str, Any], from_file: dict[str, Any], cls: type[BaseSettings]) -> str:
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if not item["loc"]:
        return message
    name = str(item["loc"][0])
    if name in given:
        where = flag_name(name)
    elif name in shared or variable(cls, name) in os.environ or name not in from_file:
        where = variable(cls, name)
    else:
        where = f"'{name}' in the TOML file"
    shown = "" if any(word in name for word in SECRETIVE) else f", got {str(item['input'])[:60]!r}"
    return f"{where}: {message[:1].lower()}{message[1:]}{shown}"


def flag_name(field: str) -> str:
    """Return the flag of a field: ``min_clients`` is set by ``--min-clients``."""
    return "--" + field.replace("_", "-")


def command(cls: type[S], table: str, run: Callable[[S], int]) -> Callable[..., None]:
    """Make a typer command whose options are the fields of a settings class.

    Parameters
    ----------
    cls
        The settings class; each field's type, default and description become an option's. A field without a default is an argument.
    table
        The table of the TOML file that ``--config`` names.
    run
        Called with the settings; what it returns is the exit code.
    """

    def body(**flags: Any) -> None:
        config = flags.pop("config")
        raise typer.Exit(run(load(cls, table, flags, config)))

    _tables.setdefault(table, set()).update(cls.model_fields)
    parameters = [_option(cls, name, field) for name, field in cls.model_fields.items()]
    config = Annotated[
        Path | None, typer.Option("--config", help=f"TOML file; its table \\[{table}] may set any of these.", envvar="BRAMBLE_CONFIG")
    ]
    parameters.append(inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=config))
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    body.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    body.__doc__ = inspect.cleandoc(cls.__doc__ or "")
    return body


def _option(cls: type[BaseSettings], name: str, field: FieldInfo) -> inspect.Parameter:
    if field.is_required():
        argument = typer.Argument(help=field.description, metavar=_metavar(field.annotation), show_default=False)
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[str, argument])
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    shown = extra.get("shown", field.get_default(call_default_factory=True))
    shown = "" if shown in (None, "") else f"default: {shown}, "
    option = typer.Option(
        str(extra.get("flags", flag_name(name))),
        help=f"{field.description or ''} \\[{shown}env: {variable(cls, name)}]",
        show_default=False,
        metavar=_metavar(field.annotation),
    )
    kind: Any = Annotated[_flag_type(field.annotation, extra) | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _core(annotation: Any) -> Any:
    """Look through ``X | None`` and ``Annotated[X, ...]``."""
    if get_origin(annotation) in (Union, types.UnionType):
        return _core(next(kind for kind in get_args(annotation) if kind is not type(None)))
    return _core(get_args(annotation)[0]) if get_origin(annotation) is Annotated else annotation


def _flag_type(annotation: Any, extra: dict[str, Any]) -> Any:
    """Booleans and paths as typer knows them; everything else as text, which the settings class then checks and explains."""
    core = _core(annotation)
    return core if core in (bool, Path) and extra.get("cli") != "str" else str


def _metavar(annotation: Any) -> str | None:
    core = _core(annotation)
    if get_origin(core) is Literal:
        return "|".join(str(value) for value in get_args(core))
    return {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}.get(core)
