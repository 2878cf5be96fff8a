"""One settings class, three ways to set it: flags, then ``BRAMBLE_*`` in the environment, then a table of a TOML file."""

from __future__ import annotations

import inspect
import tomllib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from protocol import BrambleError

S = TypeVar("S", bound=BaseSettings)


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
            return init_settings, env_settings, lambda: from_file

    Layered.__name__ = cls.__name__
    try:
        return Layered(**given)
    except ValidationError as error:
        raise SettingError("; ".join(_sentence(item, given, from_file) for item in error.errors())) from None


def _read_toml(path: Path, table: str, cls: type[BaseSettings]) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingError(f"--config: cannot read {path} ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"--config: {path} is not TOML: {error}") from None
    values = document.get(table, {})
    if not isinstance(values, dict):
        raise SettingError(f"{path}: '{table}' must be a table, written [{table}]")
    values = {name.replace("-", "_"): value for name, value in values.items()}
    unknown = sorted(set(values) - set(cls.model_fields))
    if unknown:
        raise SettingError(f"{path}: [{table}] has no setting '{unknown[0]}'; it knows {', '.join(sorted(cls.model_fields))}")
    return values


def _sentence(item: Any, given: dict[str, Any], from_file: dict[str, Any]) -> str:
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if not item["loc"]:
        return message
    name = str(item["loc"][0])
    if name in given:
        where = flag_name(name)
    elif name in from_file:
        where = f"'{name}' in the TOML file"
    else:
        where = f"BRAMBLE_{name.upper()}"
    shown = "" if "token" in name else f", got {str(item['input'])[:60]!r}"
    return f"{where}: {message[:1].lower()}{message[1:]}{shown}"


def flag_name(field: str) -> str:
    """Return the flag of a field: ``min_clients`` is set by ``--min-clients``."""
    return "--" + field.replace("_", "-")


def command(cls: type[S], table: str, run: Callable[[S], int]) -> Callable[..., None]:
    """Make a typer command whose options are the fields of a settings class.

    Parameters
    ----------
    cls
        The settings class; each field's type, default and description become an option's.
    table
        The table of the TOML file that ``--config`` names.
    run
        Called with the settings; what it returns is the exit code.
    """

    def body(**flags: Any) -> None:
        config = flags.pop("config")
        raise typer.Exit(run(load(cls, table, flags, config)))

    parameters = [_option(name, field) for name, field in cls.model_fields.items()]
    config = Annotated[
        Path | None, typer.Option("--config", help=f"TOML file; its table \\[{table}] may set any of these.", envvar="BRAMBLE_CONFIG")
    ]
    parameters.append(inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=config))
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    body.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    body.__doc__ = inspect.cleandoc(cls.__doc__ or "")
    return body


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    default = field.get_default(call_default_factory=True)
    shown = "" if default is None else f"default: {extra.get('shown', default)}, "
    option = typer.Option(
        str(extra.get("flags", flag_name(name))),
        help=f"{field.description or ''} \\[{shown}env: BRAMBLE_{name.upper()}]",
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
