"""Settings of a client: flags, BRAMBLE_CLIENT_* environment variables, and the table [client] of a TOML file."""

from __future__ import annotations

import os
import re
import socket
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bramble_client.machine.hours import Hours
from bramble_protocol import amounts, fields, groups
from bramble_protocol.mqtt.address import broker_address, fit_together
from bramble_protocol.server_address import server_address

Seconds = Annotated[float, BeforeValidator(amounts.seconds)]


def hostname_id() -> str:
    """Return this machine's name as a client id: lower case, every other character a hyphen."""
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().split(".")[0].lower()).strip("-")
    return name[:63] or "client"


class ClientSettings(BaseSettings):
    """Run a client. It samples sensors, trains on what they measured, and sends the server weights only."""

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_CLIENT_", extra="ignore", validate_default=True)

    server: Annotated[str, AfterValidator(server_address)] = Field("http://127.0.0.1:5000", description="Address of the server.")
    id: str = Field(
        default_factory=hostname_id, description="This client's name in the fleet.", json_schema_extra={"shown": "the machine's name"}
    )
    sensors: Literal["mock", "linux"] | None = Field(
        None, description="linux reads sensors on the I2C bus, mock on a simulated one; there is no default, so that nobody mixes them up."
    )
    bus: int = Field(1, ge=0, le=255, description="Number of the I2C bus.")
    replay: Path | None = Field(None, description="Recording (CSV) that mock sensors replay, instead of a built-in one.")
    sensors_file: Path | None = Field(None, description="File (TOML) that lists the sensors; without it, they are found on the bus.")
    faults: Path | None = Field(None, description="Script (TOML) of faults for mock sensors.")
    gpio: bool = Field(
        False, description="Use a status LED, a label button and a reset button.", json_schema_extra={"flags": "--gpio/--no-gpio"}
    )
    labels: str = Field("", description="Classes that the label button goes through, with commas between them.")
    ask_daily: int = Field(
        10, ge=0, le=10_000, description="How often a day, at most, the status LED asks which class it is, where a model is unsure."
    )
    forget_on_drift: bool = Field(
        False,
        description="Once its error has risen, do not train any more on what was measured before.",
        json_schema_extra={"flags": "--forget-on-drift/--no-forget-on-drift"},
    )
    group: Annotated[dict[str, str], NoDecode, BeforeValidator(groups.parse)] = Field(
        {},
        description="A group that this client belongs to, such as building=north; may be given more than once. The server is told.",
        json_schema_extra={"cli": "repeat", "shown": "", "metavar": "KEY=NAME"},
    )
    data_dir: Path | None = Field(
        None,
        description="Folder for readings and unsent results.",
        json_schema_extra={"shown": "$STATE_DIRECTORY; else bramble-data/ID for mock sensors, ~/.local/share/bramble/ID for real ones"},
    )
    fleet_file: Path | None = Field(
        None, description="File that holds the fleet's name: readings that were measured for another fleet are set aside, not trained on."
    )
    adopt_readings: bool = Field(
        False,
        description="Take readings of another fleet along into this one.",
        json_schema_extra={"flags": "--adopt-readings/--no-adopt-readings"},
    )
    token_file: Path | None = Field(None, description="File that holds this client's token.")
    proxy: str | None = Field(
        None, description="HTTP proxy on the way to the server, such as http://proxy.example:3128; the environment's are never used."
    )
    ca: Path | None = Field(None, description="Certificate (PEM) of the authority that signed the server's.")
    mode: Literal["evaluation", "private"] = Field(
        "evaluation", description="evaluation mirrors readings to the server when it asks for them; private never sends one."
    )
    trust_graphs: Annotated[str, BeforeValidator(lambda given: ",".join(given) if isinstance(given, list) else given)] = Field(
        "",
        description="Public keys, or files of them, with commas between them: graphs signed by one of these are run besides those of "
        "Bramble's own tasks, and no others. In private mode that holds without a key too.",
        json_schema_extra={"cli": "str"},
    )
    secure: bool = Field(
        False,
        description="Send updates in secure sums alone, which nobody can read one by one (bramble-fl[secure]), and refuse any other round.",
        json_schema_extra={"flags": "--secure/--no-secure"},
    )
    secure_least: int = Field(3, ge=2, le=4096, description="Clients below which this one lets no secure sum be opened.")
    clip: float | None = Field(None, gt=0, le=1e6, description="Length to which this client shortens its updates, where it adds --noise.")
    noise: float | None = Field(
        None,
        gt=0,
        le=1e4,
        description="Deviation of the noise that this client adds to each number of its updates before they leave it, in lengths of "
        "--clip; losses, tests and counts then stay here.",
    )
    epsilon: float | None = Field(
        None,
        gt=0,
        le=1e3,
        description="What this client's updates may tell of its readings in all, as differential privacy counts it: it takes no part in "
        "rounds beyond it, nor in any that add no noise.",
    )
    delta: float = Field(1e-5, gt=0, lt=0.1, description="The probability with which --epsilon may not hold.")
    identity: Path | None = Field(None, description="File (PEM) of this client's own key, with which it signs its part in secure sums.")
    roll: Path | None = Field(
        None,
        description="The fleet's roll: every client's public key, signed by the authority of --ca. With it no server can play other "
        "clients in a secure sum.",
    )
    sample_every: Seconds = Field(
        60.0,
        gt=0,
        le=86400,
        description="How often real sensors, or any in private mode, are read where the sensors file says nothing else.",
        json_schema_extra={"cli": "str", "shown": "60s"},
    )
    keep_samples: int = Field(500_000, ge=100, description="Samples to keep on disk, some 40 bytes each; the oldest make room.")
    training_memory: int | None = Field(
        None,
        ge=64,
        le=1_000_000,
        description="Memory (MB) that the training process may take; half of the machine's if nothing is said.",
    )
    train_between: Annotated[str | None, BeforeValidator(lambda given: ",".join(given) if isinstance(given, list) else given)] = Field(
        None,
        description="Hours in which it trains, by this machine's time zone, such as 01:00-05:00 or 22:00-02:00, with commas between "
        "several; at any hour if nothing is said.",
        json_schema_extra={"cli": "str"},
    )
    monthly_bytes: Annotated[int | None, BeforeValidator(amounts.size)] = Field(
        None,
        description="What its connections may carry in a calendar month, such as 200M; when that is used up it does not train until the "
        "next.",
        json_schema_extra={"cli": "str"},
    )
    steady_power: bool = Field(
        False,
        description="Do not train while the power supply is too weak (under-voltage).",
        json_schema_extra={"flags": "--steady-power/--no-steady-power"},
    )
    least_battery: int | None = Field(
        None, ge=1, le=100, description="How full (percent) the battery must be to train; a machine without one always does."
    )
    mqtt: Annotated[str | None, AfterValidator(broker_address)] = Field(
        None,
        description="The household's own MQTT broker, such as mqtt://192.168.1.5 or mqtts://home.example: readings and forecasts are told "
        "there, in private mode too, as Home Assistant discovers them.",
    )
    mqtt_login: Path | None = Field(
        None, description="File that holds who one is to the broker: the user on its first line, the password on its second."
    )
    mqtt_ca: Path | None = Field(None, description="Certificate (PEM) of the authority that signed the broker's.")
    reconnect_max: Seconds = Field(
        30.0,
        gt=0,
        le=3600,
        description="Longest pause between two attempts to reach the server.",
        json_schema_extra={"cli": "str", "shown": "30s"},
    )

    @field_validator("train_between")
    @classmethod
    def _are_hours(cls, value: str | None) -> str | None:
        if value is not None:
            Hours.parse(value)
        return value

    @field_validator("monthly_bytes")
    @classmethod
    def _is_some(cls, value: int | None) -> int | None:
        if value is not None and value < 1:
            raise ValueError("with nothing to spend it would never train: expected an amount such as 200M, or leave it out for any")
        return value

    @field_validator("proxy")
    @classmethod
    def _is_a_proxy(cls, value: str | None) -> str | None:
        if not value:
            return None
        try:
            url = urlsplit(value)
            usable = url.scheme == "http" and bool(url.hostname) and url.port != 0 and url.path in ("", "/")
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("expected an HTTP proxy's address, such as http://proxy.example:3128")
        return value.rstrip("/")

    @field_validator("id")
    @classmethod
    def _is_an_id(cls, value: str) -> str:
        if not fields.CLIENT_ID.fullmatch(value):
            raise ValueError("expected 1 to 63 of a-z, 0-9 and '-', the first no '-'")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> ClientSettings:
        if self.sensors is None:
            raise ValueError("--sensors is missing: say 'linux' for real sensors or 'mock' for simulated ones")
        if self.replay is not None and self.sensors != "mock":
            raise ValueError("--replay is for mock sensors: add --sensors mock, or leave it out")
        if self.faults is not None and self.sensors != "mock":
            raise ValueError("--faults is for mock sensors, real ones have their own: add --sensors mock, or leave it out")
        if self.labels and not self.gpio:
            raise ValueError("--labels is for the label button: add --gpio, or leave it out")
        if (self.identity is None) != (self.roll is None) or (self.roll is not None and self.ca is None):
            raise ValueError("--identity and --roll belong together, and --ca, whose authority signed the roll: give all three")
        if self.ca is not None and self.roll is None and not self.server.startswith("https:"):
            raise ValueError("--ca is for a server with TLS: write its address as https://...")
        fit_together(self.mqtt, self.mqtt_login, self.mqtt_ca)
        return self

    @model_validator(mode="after")
    def _noise_hides_something(self) -> ClientSettings:
        if self.noise is not None and self.clip is None:
            raise ValueError("--noise without --clip hides nothing, for an update may be of any length: say --clip, such as 1")
        if self.clip is not None and self.noise is None:
            raise ValueError("--clip is the length that --noise is measured in: say --noise, too, or leave it out")
        if self.mode != "private" and self.bounded:
            raise ValueError("--noise and --epsilon are of no use where readings themselves are mirrored: say --mode private, too")
        return self

    @property
    def bounded(self) -> bool:
        """Whether nothing is to leave this client that tells of its readings without noise."""
        return self.noise is not None or self.epsilon is not None

    @property
    def classes(self) -> tuple[str, ...]:
        """What the label button goes through, in this order."""
        return tuple(name for part in self.labels.split(",") if (name := part.strip()))

    @property
    def version(self) -> str:
        """Which release this is; empty if it runs from a source tree that is not installed."""
        try:
            return metadata.version("bramble-fl")
        except metadata.PackageNotFoundError:
            return ""

    @property
    def graphs_are_checked(self) -> bool:
        """Whether graphs need to have come with Bramble or to be signed. Who mirrors readings anyway need not ask, and may."""
        return self.mode == "private" or bool(self.trust_graphs)

    @property
    def self_paced(self) -> bool:
        """Whether the sensors are read at a pace of their own, and not only when the server asks."""
        return self.mode == "private" or self.sensors == "linux"

    @property
    def folder(self) -> Path:
        """Where this client keeps its data."""
        if self.data_dir is not None:
            return self.data_dir
        state = os.environ.get("STATE_DIRECTORY")  # set by systemd; several are separated by colons
        if state:
            return Path(state.split(":")[0])
        # What was simulated is no part of anybody's home: it lies beside the server's, and is deleted with it.
        return Path("bramble-data") / self.id if self.sensors == "mock" else Path.home() / ".local" / "share" / "bramble" / self.id

    @property
    def shown(self) -> Path | None:
        """Folder for what other programs on this machine may read, where systemd made one; it is gone with the service."""
        running = os.environ.get("RUNTIME_DIRECTORY")
        return Path(running.split(":")[0]) if running else None


class CheckSettings(ClientSettings):
    """Settings of ``bramble client check``: the client's own, and how it says what it found."""

    as_json: bool = Field(False, description="Print JSON instead of lines.", json_schema_extra={"flags": "--json"})
