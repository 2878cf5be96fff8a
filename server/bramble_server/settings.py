"""Settings of the server: flags, BRAMBLE_SERVER_* environment variables, and the table [server] of a TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from bramble_protocol import groups
from bramble_protocol.amounts import seconds
from bramble_protocol.mqtt.address import broker_address, fit_together
from bramble_protocol.nearest import nearest
from bramble_protocol.server_address import on_loopback
from bramble_server.fleet import eligibility
from bramble_server.round_settings import OPTIONED, RoundSettings, Seconds
from bramble_server.tracking import checked

TRACKED = (
    *("rounds", "every", "deadline", "adaptive_deadline", "min_clients", "min_updates", "epochs", "batch_size", "learning_rate", "seed"),
    *("strategy", "strategy_option", "clients_per_round", "over_selection", "selection", "selection_option", "eligibility"),
    *("codec", "codec_option", "keep_models", "keep_rounds", "champion_bound", "champion_rounds", "evaluate_every", "on_drift"),
    *("epsilon", "delta", "secure"),
    *("discipline", "buffer", "max_staleness", "staleness_exponent", "concurrency", "group"),
)
"""Settings that may differ from task to task."""


def kinds(value: Any) -> tuple[str, ...] | None:
    """Read what must be well with a client; ``none`` and ``all`` stand for themselves."""
    if value is None:
        return None
    if not value or value in ("none", ["none"], ("none",)):
        return ()
    found = names(value)
    if found == ("all",):
        return tuple(eligibility.KINDS)
    for name in found:
        if name not in eligibility.KINDS:
            near = nearest(name, eligibility.KINDS)
            meant = f", did you mean {near}?" if near else ""
            raise ValueError(f"{name[:63]!r} is none of {', '.join(eligibility.KINDS)}, all, none{meant}")
    return found


def names(value: Any) -> tuple[str, ...]:
    """Read what is given as one name or several; in an environment variable with commas between."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not all(isinstance(item, str) and item.strip() for item in given):
        raise ValueError("expected a name, or a list of names")
    return tuple(item.strip() for item in given)


def models_or_time(value: Any) -> int | float | None:
    """Read after what the newest model is tried: a whole number of new models, or a duration with its unit, in seconds."""
    wanted = "expected a number of new models, such as 10, or a duration with its unit, such as 6h"
    try:
        number = int(value) if isinstance(value, str) and value.strip().isdecimal() else seconds(value)
    except ValueError:
        raise ValueError(wanted) from None
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int | float) or not (number >= 1 and number <= 1e8):
        raise ValueError(wanted)
    return number


def by_task(value: Any) -> dict[str, dict[str, Any]]:
    """Read settings of single tasks: tables by task, or ``task.setting=value``, one or a list or with commas between."""
    wanted = "what is set for one task alone is written task.setting=value, such as climate.every=10m"
    if isinstance(value, Mapping):
        for task, table in value.items():
            if not isinstance(table, Mapping):
                raise ValueError(f"{task}: expected a table of what is set for this task alone, such as every = '10m'")
        found = {str(task): {str(name).replace("-", "_"): item for name, item in table.items()} for task, table in value.items()}
    else:
        found = {}
        for item in value.split(",") if isinstance(value, str) else value:
            key, given, text = str(item).partition("=")
            task, dot, name = key.strip().rpartition(".")
            name = name.replace("-", "_")
            if not given or not dot or not task:
                raise ValueError(wanted)
            settings = found.setdefault(task, {})
            if name == "group" or name in (f"{each}_option" for each in OPTIONED):
                settings.setdefault(name, []).append(text.strip())
            elif name in settings:
                raise ValueError(f"{task}.{name} is given twice")
            else:
                settings[name] = text.strip()
    for task, settings in found.items():
        for name in settings:
            if name not in TRACKED:
                near = nearest(name, TRACKED)
                meant = f", did you mean {near}?" if near else ""
                raise ValueError(f"{task}.{name} cannot be set for one task alone{meant}; what can is {', '.join(TRACKED)}")
    return found


PRIVATE_UPDATES = 3
"""Updates that make a round in private mode: a mean of two is, to one of the two, the other's."""


class ServerSettings(RoundSettings):
    """Run the central server. It asks clients to train, averages what they return, and serves the model over HTTP."""

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_SERVER_", extra="ignore")

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for a network of Pis.")
    port: int = Field(5000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    data_dir: Path = Field(Path("bramble-data/server"), description="Folder for the database; created if missing.")
    database: str | None = Field(None, description="Database URL, for instance of PostgreSQL; without it SQLite in the data folder.")
    database_password_file: Path | None = Field(
        None, description="File with the password of the database, which then stands neither in the URL nor in the process list."
    )
    mode: Literal["evaluation", "private"] = Field(
        "evaluation", description="evaluation: clients mirror their readings here; private: no reading ever leaves a client."
    )
    task: Annotated[tuple[str, ...], NoDecode, BeforeValidator(names)] = Field(
        ("climate",),
        min_length=1,
        description="Task by its name (bramble task list), or the path of an exported graph; may be given more than once, and the first is "
        "the one that is meant where none is named. NAME=TASK serves it by another name, so that one task can be learnt twice.",
        json_schema_extra={"cli": "repeat", "shown": "climate", "metavar": "TEXT", "values": "installed tasks"},
    )
    track: Annotated[dict[str, dict[str, Any]], NoDecode, BeforeValidator(by_task)] = Field(
        {},
        description=f"What is set for one task alone, such as climate.every=10m: any of {', '.join(TRACKED)}. In a TOML file these are "
        "tables, such as server.track.climate. May be given more than once.",
        json_schema_extra={"cli": "repeat", "shown": "", "metavar": "TASK.SETTING=VALUE"},
    )
    group: Annotated[dict[str, str], NoDecode, BeforeValidator(groups.parse)] = Field(
        {},
        description="Ask clients of this group alone, such as building=north; given more than once, those that are of each.",
        json_schema_extra={"cli": "repeat", "shown": "", "metavar": "KEY=NAME"},
    )
    eligibility: Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(kinds)] = Field(
        None,
        description="What must be well with a client for it to be asked, as it reports: "
        f"any of {', '.join(eligibility.KINDS)}, or all, or none.",
        json_schema_extra={"cli": "repeat", "shown": "all where --clients-per-round is set, else none", "metavar": "KIND"},
    )
    min_clients: int = Field(
        2,
        ge=1,
        description="Clients that must be connected before a round starts.",
        json_schema_extra={"shown": "2, or as many as --min-updates asks for"},
    )
    min_updates: int = Field(
        1,
        ge=1,
        description="Updates below which a round is abandoned; in private mode 2 is the least.",
        json_schema_extra={"shown": "1, in private mode 3"},
    )
    rounds: int | None = Field(None, ge=1, description="Run so many rounds one after the other, then only serve.")
    every: Seconds | None = Field(
        None, gt=0, le=1e8, description="Start a round at this interval, such as 10m.", json_schema_extra={"cli": "str"}
    )
    evaluate_every: Annotated[int | float | None, BeforeValidator(models_or_time)] = Field(
        None,
        description="Have clients try the newest model, as bramble evaluate does: after so many new ones, such as 10, or at an "
        "interval, such as 6h.",
        json_schema_extra={"cli": "str", "shown": "never", "metavar": "MODELS|DURATION"},
    )
    reply_encoding: Literal["float32", "float16", "delta-float16"] | None = Field(None, description="The former name of --codec.")
    tokens: Path | None = Field(None, description="File of tokens; with it, clients and HTTP requests must show one.")
    tls_cert: Path | None = Field(None, description="Certificate chain (PEM) to serve TLS with.")
    tls_key: Path | None = Field(None, description="Private key (PEM) of the certificate.")
    allow_simulated: bool | None = Field(
        None,
        description="Whether mock sensors may take part; by default in evaluation mode only.",
        json_schema_extra={"flags": "--allow-simulated/--refuse-simulated"},
    )
    allowed_hosts: str = Field(
        "", description="Further names, separated by commas, to answer to besides addresses, this machine's name and names in .local."
    )
    proxies: int = Field(0, ge=0, le=5, description="Web servers in front of it that say in X-Forwarded-For and -Proto who asks, and how.")
    max_connections: int | None = Field(
        None, ge=16, description="Connections at once; by default as many as open files allow, at most 10000."
    )
    max_per_address: int = Field(
        4096, ge=16, description="Connections of one address at once; a quarter of them may be without a client's handshake."
    )
    ping_interval: Seconds = Field(
        10.0,
        ge=1,
        le=3600,
        multiple_of=1,  # Engine.IO tells a client whole seconds only, and a client that expects more haste hangs up
        description="How often the server asks whether a client is there, in whole seconds.",
        json_schema_extra={"cli": "str", "shown": "10s"},
    )
    ping_timeout: Seconds = Field(
        10.0, ge=0.1, le=3600, description="Silence after which a client counts as gone.", json_schema_extra={"cli": "str", "shown": "10s"}
    )
    keep_models: int = Field(
        20, ge=1, description="Models of past rounds to keep; in asynchronous rounds no fewer than one more than --max-staleness."
    )
    champion_bound: float = Field(
        0.1,
        ge=0,
        le=10,
        description="How far the newest model's error may lie above that of the best so far, as a part of it, on readings that neither was "
        "trained on.",
    )
    champion_rounds: int = Field(
        2, ge=0, le=100, description="Rounds in a row beyond --champion-bound after which the server goes back to the best; 0: never."
    )
    epsilon: float | None = Field(
        None,
        gt=0,
        le=1e3,
        description="What a client may lose in all, as differential privacy counts it; with --strategy dp, which adds the noise, rounds "
        "beyond it are refused for good. bramble privacy plan says what it takes.",
    )
    delta: float = Field(
        1e-5, gt=0, lt=0.1, description="The probability with which --epsilon may not hold; well below one in the number of clients."
    )
    secure: bool = Field(
        False,
        description="See no client's update: each is masked on its client, and the sum of all alone can be read (bramble-fl[secure]).",
        json_schema_extra={"flags": "--secure/--no-secure"},
    )
    roll: Path | None = Field(
        None, description="The fleet's roll, which says whose keys are whose: a secure round takes those that are signed by it alone."
    )
    on_drift: Literal["nothing", "round"] = Field(
        "nothing", description="What follows when the error has risen at a client's site: a round as soon as one can start, or nothing."
    )
    keep_rounds: int = Field(10_000, ge=100, description="Rounds to keep in the history, with each client's part in them.")
    keep_readings: Seconds = Field(
        730 * 86400.0,
        gt=0,
        description="How long mirrored readings are kept.",
        json_schema_extra={"cli": "str", "shown": "730d"},
    )
    keep_per_client: int = Field(
        10_000_000, ge=1000, description="Mirrored readings of one client to keep, some 30 bytes each; the oldest make room."
    )
    log_to: Annotated[str, AfterValidator(checked)] | None = Field(
        None,
        description="Write each round's curves there, too: tensorboard:FOLDER (bramble-fl[tensorboard]), or mlflow:ADDRESS of a tracking "
        "server.",
    )
    mqtt: Annotated[str | None, AfterValidator(broker_address)] = Field(
        None,
        description="An MQTT broker, such as mqtts://home.example: rounds, errors and who is there are told it, no reading, as Home "
        "Assistant discovers them.",
    )
    mqtt_login: Path | None = Field(
        None, description="File that holds who one is to the broker: the user on its first line, the password on its second."
    )
    mqtt_ca: Path | None = Field(None, description="Certificate (PEM) of the authority that signed the broker's.")
    data_start: AwareDatetime = Field(
        datetime(2023, 1, 1, tzinfo=UTC),
        description="Where the simulated world's clock starts.",
        json_schema_extra={"shown": "2023-01-01T00:00Z"},
    )

    @model_validator(mode="before")
    @classmethod
    def _one_name_of_the_codec(cls, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("reply_encoding") is not None and "codec" in given:
            raise ValueError("--reply-encoding is the former name of --codec: give --codec alone")
        return given

    @model_validator(mode="after")
    def _by_its_name_of_today(self) -> ServerSettings:
        if self.reply_encoding is not None:
            self.codec, self.reply_encoding = self.reply_encoding, None
        return self

    @model_validator(mode="before")
    @classmethod
    def _defaults_that_depend_on_others(cls, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("mode") == "private":
            given.setdefault("min_updates", PRIVATE_UPDATES)
        if "min_clients" not in given and str(given.get("min_updates", "")).strip().isdecimal():
            given["min_clients"] = max(2, int(given["min_updates"]))
        return given

    @model_validator(mode="after")
    def _fit_together(self) -> ServerSettings:
        fit_together(self.mqtt, self.mqtt_login, self.mqtt_ca)
        if self.rounds is not None and self.every is not None:
            raise ValueError("--rounds and --every exclude each other: run rounds one after the other, or at an interval")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("--tls-cert and --tls-key belong together: give both, or neither")
        if self.mode == "private" and self.min_updates < 2:
            raise ValueError(
                f"--min-updates {self.min_updates} would publish one client's weights as the model, and readings follow from them: "
                f"in private mode say 2, or leave it at {PRIVATE_UPDATES}"
            )
        if isinstance(self.clients_per_round, int):
            self.min_clients = max(self.min_clients, self.clients_per_round)
        if self.min_updates > self.min_clients:
            known = f"; with two clients alone, say --min-updates 2 ({PRIVATE_UPDATES} is private mode's)" if self.mode == "private" else ""
            raise ValueError(
                f"--min-updates {self.min_updates} is more than --min-clients {self.min_clients}: a round could start that can never commit"
                + known
            )
        return self

    @model_validator(mode="after")
    def _secure_rounds_wait_for_all(self) -> ServerSettings:
        if self.secure and self.over_selection > 1:
            raise ValueError("--over-selection is of no use with --secure: a secure round loses whoever it does not wait for")
        if self.secure and self.evaluate_every is not None:
            raise ValueError("--evaluate-every has single clients tell what they find, and --secure shows sums alone: leave one out")
        if self.roll is not None and not self.secure:
            raise ValueError("--roll is for secure rounds: say --secure, too")
        return self

    @model_validator(mode="after")
    def _asynchronous_rounds_follow_at_once(self) -> ServerSettings:
        if self.discipline == "asynchronous" and self.every is not None:
            raise ValueError("--every and --discipline asynchronous exclude each other: asynchronous rounds follow one another at once")
        return self

    @model_validator(mode="after")
    def _tracks_fit(self) -> ServerSettings:
        for task in self.track:
            self.of(task)
        return self

    def of(self, task: str) -> ServerSettings:
        """Return the settings of one task: those of all, but for what is set for it alone.

        Raises
        ------
        ValueError
            If these do not work out, in a sentence.
        """
        if task not in self.track:
            return self
        chosen = dict(self.track[task])
        common = {name: getattr(self, name) for name in type(self).model_fields if name not in (*chosen, "track")}
        if "rounds" in chosen or "every" in chosen:  # one takes the place of the other
            common.update(dict.fromkeys({"rounds", "every"} - set(chosen)))
        for name in OPTIONED:
            if name in chosen:
                common.pop(f"{name}_option", None)  # those of another strategy mean nothing to it
        if "min_clients" not in chosen and str(chosen.get("min_updates", "")).strip().isdecimal():
            common["min_clients"] = max(self.min_clients, int(chosen["min_updates"]))
        try:
            return Alone(**common, **chosen)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join([task, *map(str, first["loc"][:1])])
            sentence = str(first["msg"]).removeprefix("Value error, ")
            for name in chosen:  # that of all says something else
                sentence = sentence.replace(f"--{name.replace('_', '-')} ", f"{task}.{name} ")
            raise ValueError(f"--track {where}: {sentence}") from None

    @property
    def rounds_go_by(self) -> dict[str, Any]:
        """The discipline of rounds, as JSON can hold it, and whether they are secure."""
        said = super().rounds_go_by
        return {**said, "parameters": {**said["parameters"], "secure": True}} if self.secure else said

    @property
    def models_to_keep(self) -> int:
        """How many models are kept: at least all that somebody may train from."""
        return max(self.keep_models, self.max_staleness + 1) if self.discipline == "asynchronous" else self.keep_models

    @property
    def well(self) -> tuple[str, ...]:
        """What must be well with a client for it to be asked: who asks a part of a fleet has others to choose."""
        chosen = () if self.clients_per_round is None else tuple(eligibility.KINDS)
        return chosen if self.eligibility is None else self.eligibility

    @property
    def simulated_welcome(self) -> bool:
        """Whether clients with mock sensors are taken."""
        return self.mode == "evaluation" if self.allow_simulated is None else self.allow_simulated

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return on_loopback(self.host)

    @property
    def scheme(self) -> str:
        """``https`` with a certificate, else ``http``."""
        return "https" if self.tls_cert else "http"


class Alone(ServerSettings):
    """The settings of one task; all of them are given, so nothing else is asked."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *others: PydanticBaseSettingsSource, **named: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Ask neither environment nor files."""
        return (init_settings,)
