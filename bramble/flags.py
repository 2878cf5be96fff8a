"""One settings class, three ways to set it: flags, then ``BRAMBLE_ROOM_*`` in the environment, then a table of a TOML file."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import tomllib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from bramble import completion
from bramble_protocol import BrambleError
from bramble_protocol.nearest import nearest

S = TypeVar("S", bound=BaseSettings)


SHARED = ("server", "ca")
"""What means the same to every command, and so is one variable for all of them: ``BRAMBLE_SERVER``, ``BRAMBLE_CA``."""

SECRETIVE = ("token", "proxy", "database", "password")
"""Words in the names of settings whose value may hold a secret, and so is not shown; nor is an address with a password in it."""

TABLES = ("server", "client", "inspector", "fleet", "demo", "quickstart", "simulate", "experiment", "predict", "privacy", "data")
"""Tables of a TOML file that some command reads."""

_tables: dict[str, list[type[BaseSettings]]] = {table: [] for table in TABLES}
"""The settings that each may hold, once the command line is there."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with settings."""

    key: str
    """The setting; empty where several do not fit together, or the file cannot be read."""
    sentence: str
    """What is wrong, and what to do; it does not say where the setting stands."""


class SettingError(BrambleError):
    """Settings are unknown, malformed or contradict each other; the text names each and where it was set, ``faults`` has them apart."""

    def __init__(self, sentence: str, faults: Iterable[Fault] = ()) -> None:
        super().__init__(sentence)
        self.faults = tuple(faults) or (Fault("", sentence),)


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
    given = {name: value for name, value in flags.items() if value not in (None, [])}
    from_file = _of_table(config, document(config), table, cls) if config else {}
    _refuse_former_variables(cls)
    shared = {name: value for name in SHARED if name in cls.model_fields and (value := os.environ.get(f"BRAMBLE_{name.upper()}"))}
    try:
        return _built(cls, lambda init, environment: (init, environment, lambda: shared, lambda: from_file), given)
    except ValidationError as error:
        raise SettingError("; ".join(_sentence(item, given, shared, from_file, cls) for item in error.errors())) from None


def of_file(cls: type[S], table: str, path: Path, content: Mapping[str, Any]) -> S:
    """Build settings from one table of a TOML file alone, whatever the environment says.

    Parameters
    ----------
    path, content
        The file, for what is said of it, and what ``document`` read from it.

    Raises
    ------
    SettingError
        With all that is wrong with that table. What only a command line can give is not missed.
    """
    faults: list[Fault] = []
    try:
        values = _of_table(path, content, table, cls)
    except SettingError as error:
        faults += error.faults
        values = _known(content.get(table, {}), cls)
    try:
        settings = _built(cls, lambda init, environment: (lambda: values,), {})
    except ValidationError as error:
        wrong = [item for item in error.errors() if item["type"] != "missing"]
        faults += [Fault(".".join(map(str, item["loc"][:1])), _message(item)) for item in wrong]
        settings = cast(S, cls.model_construct())
    if faults:
        raise SettingError("; ".join(f"{path}: {f'[{table}] {fault.key}: ' * bool(fault.key)}{fault.sentence}" for fault in faults), faults)
    return settings


def of_values(cls: type[S], given: Mapping[str, Any]) -> S:
    """Build settings of values that a program gives by name, whatever environment and files say.

    Raises
    ------
    SettingError
        Naming each that is unknown, missing or wrong.
    """
    for name, value in given.items():
        if name not in cls.model_fields:
            raise SettingError(f"{name} is no setting{_meant(name, cls.model_fields)}; there are {', '.join(cls.model_fields)}")
        if fault := _true_for_a_number(name, value, cls):
            raise SettingError(f"{name}: {fault.sentence}", [fault])
    try:
        return _built(cls, lambda init, environment: (init,), dict(given))
    except ValidationError as error:
        faults = [Fault(".".join(map(str, item["loc"][:1])), _message(item)) for item in error.errors()]
        raise SettingError("; ".join(f"{fault.key}: {fault.sentence}" for fault in faults), faults) from None


def commands(table: str) -> tuple[type[BaseSettings], ...]:
    """Return the settings classes of the commands that read a table."""
    importlib.import_module("bramble.cli")  # whose commands say which settings they take
    return tuple(dict.fromkeys(_tables.get(table, ())))


Sources = Callable[[PydanticBaseSettingsSource, PydanticBaseSettingsSource], tuple[Any, ...]]


def _built(cls: type[S], sources: Sources, given: dict[str, Any]) -> S:
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
            return sources(init_settings, env_settings)

    Layered.__name__ = cls.__name__
    return Layered(**given)


def variable(cls: type[BaseSettings], name: str) -> str:
    """Return the variable that sets a field, with the command's name in it, so that a server's port is not the inspector's too."""
    return f"BRAMBLE_{name.upper()}" if name in SHARED else f"{cls.model_config['env_prefix']}{name.upper()}"


def _refuse_former_variables(cls: type[BaseSettings]) -> None:
    for name in cls.model_fields:
        former, now = f"BRAMBLE_{name.upper()}", variable(cls, name)
        if former != now and former in os.environ and now not in os.environ:
            raise SettingError(f"{former}: several commands would take it for theirs; write {now}")


def document(path: Path, what: str = "--config") -> dict[str, Any]:
    """Read a TOML file, of settings or of something else, that a refusal calls ``what``.

    Raises
    ------
    SettingError
        If it cannot be read or is malformed; the text names the line.
    """
    try:
        text = path.read_text("utf-8")
        return tomllib.loads(text)
    except OSError as error:
        raise SettingError(f"{what}: cannot read {path} ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise SettingError(f"{what}: {path} is not TOML: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{what}: {path} is not TOML: {error}", [_malformed(text, error)]) from None


def _malformed(text: str, error: tomllib.TOMLDecodeError) -> Fault:
    """Return the setting that makes a file unreadable: it is there twice, or its value is none that TOML has."""
    table, seen = "", set[tuple[str, str]]()
    for line in text.splitlines():
        if header := re.match(r"\s*\[+\s*([\w.-]+)", line):
            table = header[1]
        name = re.match(r"\s*([\w-]+)\s*=", line)
        if name is None:
            continue
        if (table, name[1]) in seen:
            return Fault(name[1].replace("-", "_"), "is set twice; leave one of the two out")
        seen.add((table, name[1]))
        try:
            tomllib.loads(line)
        except tomllib.TOMLDecodeError:
            return Fault(name[1].replace("-", "_"), f"is no value that TOML has: {line.partition('=')[2].strip()[:60]}")
    return Fault("", f"is not TOML: {error}")


def _of_table(path: Path, content: Mapping[str, Any], table: str, cls: type[BaseSettings]) -> dict[str, Any]:
    refuse_unknown_tables(path, content)
    values = content.get(table, {})
    if not isinstance(values, dict):
        raise _wrong(path, f"'{table}' must be a table, written [{table}]")
    known = set(cls.model_fields).union(*(each.model_fields for each in commands(table)))
    unknown = sorted({name.replace("-", "_") for name in values} - known)
    if unknown:
        faults = [Fault(name, f"is not a setting of bramble {table}{_meant(name, known)}") for name in unknown]
        raise SettingError(
            f"{path}: [{table}] has no setting '{unknown[0]}'{_meant(unknown[0], known)}; it knows {', '.join(sorted(known))}", faults
        )
    chosen = _known(values, cls)
    for name, value in chosen.items():
        if fault := _true_for_a_number(name, value, cls):
            raise SettingError(f"'{name}' in the TOML file: {fault.sentence}", [fault])
    return chosen


def _true_for_a_number(name: str, value: Any, cls: type[BaseSettings]) -> Fault | None:
    """Return what is wrong with true or false where it is no value, but would be read as 1 or 0."""
    wrong = isinstance(value, bool) and _core(cls.model_fields[name].annotation) is not bool
    return Fault(name, f"{value!r} is no value for it") if wrong else None


def _known(values: Any, cls: type[BaseSettings]) -> dict[str, Any]:
    named = {name.replace("-", "_"): value for name, value in values.items()} if isinstance(values, dict) else {}
    return {name: value for name, value in named.items() if name in cls.model_fields}


def refuse_unknown_tables(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse a file with a table that no command reads, or with a setting outside of one.

    Raises
    ------
    SettingError
        Naming the first.
    """
    for name, value in content.items():
        if name not in TABLES:
            what = f"table [{name}]" if isinstance(value, dict) else f"setting '{name}' outside of a table"
            raise _wrong(path, f"no command reads the {what}{_meant(name, TABLES)}; it knows [{'], ['.join(sorted(TABLES))}]")


def _wrong(path: Path, sentence: str) -> SettingError:
    return SettingError(f"{path}: {sentence}", [Fault("", sentence)])


def _meant(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f", did you mean '{near}'?" if near else ""


def _sentence(item: Any, given: dict[str, Any], shared: dict[str, Any], from_file: dict[str, Any], cls: type[BaseSettings]) -> str:
    if not item["loc"]:
        return _message(item)
    name = str(item["loc"][0])
    if name in given:
        where = flag_name(name)
    elif name in shared or variable(cls, name) in os.environ or name not in from_file:
        where = variable(cls, name)
    else:
        where = f"'{name}' in the TOML file"
    return f"{where}: {_message(item)}"


def _message(item: Any) -> str:
    """Return what is wrong with a value, and the value, unless it may be a secret."""
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if not item["loc"]:
        return message
    given = str(item["input"])
    secret = any(word in str(item["loc"][0]) for word in SECRETIVE) or ("@" in given and "//" in given)
    shown = "" if secret else f", got {given[:60]!r}"
    return f"{message[:1].lower()}{message[1:]}{shown}"


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

    _tables[table].append(cls)
    parameters = [_option(cls, name, field) for name, field in _fields(cls)]
    told = f"TOML file; its table [{table}] may set any of these. [env: BRAMBLE_CONFIG]"
    config = typer.Option("--config", help=told, envvar="BRAMBLE_CONFIG", show_envvar=False, metavar="PATH")
    parameters.append(inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[Path | None, config]))
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    body.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    body.__doc__ = inspect.cleandoc(cls.__doc__ or "")
    return body


def _fields(cls: type[BaseSettings]) -> list[tuple[str, FieldInfo]]:
    """Return the fields as help lists them: a class's own before those that it shares with others."""
    own = [name for each in cls.__mro__ for name in inspect.get_annotations(each)]
    return sorted(cls.model_fields.items(), key=lambda item: own.index(item[0]))


def _option(cls: type[BaseSettings], name: str, field: FieldInfo) -> inspect.Parameter:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    values = completion.of(extra.get("values", _core(field.annotation)))
    if field.is_required():
        metavar = name.upper() if _core(field.annotation) is str else _metavar(field.annotation)
        argument = typer.Argument(help=field.description, metavar=metavar, show_default=False, autocompletion=values)
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[str, argument])
    if extra.get("cli") == "list":
        named = typer.Argument(help=field.description, metavar=name.upper(), show_default=False, autocompletion=values)
        several: Any = Annotated[list[str] | None, named]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=several)
    shown: object = extra.get("shown", field.get_default(call_default_factory=True))
    shown = "" if shown in (None, "") or shown is False else f"default: {shown}, "
    option = typer.Option(
        str(extra.get("flags", flag_name(name))),
        help=f"{field.description or ''} [{shown}env: {variable(cls, name)}]",
        show_default=False,
        metavar=str(extra["metavar"]) if "metavar" in extra else _metavar(field.annotation, extra),
        autocompletion=values,
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
    if extra.get("cli") == "repeat":
        return list[str]
    core = _core(annotation)
    return core if core in (bool, Path) and extra.get("cli") != "str" else str


def _metavar(annotation: Any, extra: Mapping[str, Any] | None = None) -> str | None:
    core = _core(annotation)
    if core is float and (extra or {}).get("cli") == "str":
        return "DURATION"
    if get_origin(core) is Literal:
        return "|".join(str(value) for value in get_args(core))
    return {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH", datetime: "TIME"}.get(core)
