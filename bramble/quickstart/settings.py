"""Settings of ``bramble quickstart``: flags, BRAMBLE_QUICKSTART_* environment variables, and the table [quickstart] of a TOML file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bramble_protocol.fields import CLIENT_ID
from bramble_server.round_settings import Seconds
from bramble_server.settings import names

LEAST = 3
"""Clients of a secure sum, as clients want by themselves (``--secure-least``)."""


class QuickstartSettings(BaseSettings):
    """Set up a first fleet without Ansible. A server runs here, and one line to paste on each Pi installs a client there as a service.

    Authority, certificate, keys and tokens are made once and kept in a folder; the same command goes on with them, and with more clients.
    """

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_QUICKSTART_", extra="ignore")

    clients: Annotated[tuple[str, ...], NoDecode, BeforeValidator(names)] = Field(
        ("pi-1", "pi-2", "pi-3", "pi-4", "pi-5"), description="What the Pis are called, with commas between them.",
        json_schema_extra={"cli": "str", "shown": "pi-1,pi-2,pi-3,pi-4,pi-5"},
    )  # fmt: skip
    dir: Path = Field(
        Path("bramble-fleet"), description="Folder for keys, tokens and the server's data. Keep it: whoever has it has the fleet."
    )
    address: str | None = Field(
        None, description="Name or number under which the Pis reach this machine.", json_schema_extra={"shown": "that of its network"}
    )
    port: int = Field(5000, ge=1, le=65534, description="Port of the server; what is installed is handed out on the next one.")
    task: str = Field("room", description="What the fleet learns, by its name (bramble task list).")
    mode: Literal["evaluation", "private"] = Field("private", description="private keeps all readings on the Pis.")
    every: Seconds | None = Field(
        3600.0, gt=0, description="Start a round at this interval.", json_schema_extra={"cli": "str", "shown": "1h"}
    )
    sensors: Literal["linux", "mock"] = Field("linux", description="linux reads sensors on each Pi's I2C bus, mock simulates some.")
    wheels: Path | None = Field(
        None, description="Folder of wheels that the Pis install from, pip's among them; without it they ask their package index."
    )
    secure: bool = Field(
        False,
        description="Have the server see sums of updates alone: each client gets a key of its own, and the roll of all of them.",
        json_schema_extra={"flags": "--secure/--no-secure"},
    )
    service: bool = Field(
        False,
        description="Install the server as a service of this machine, which runs on after Ctrl-C and at boot; takes root and systemd.",
        json_schema_extra={"flags": "--service/--no-service"},
    )
    qr: bool = Field(False, description="Show each line as a QR code, too.", json_schema_extra={"flags": "--qr/--no-qr"})

    @field_validator("clients")
    @classmethod
    def _are_clients(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [name for name in value if not CLIENT_ID.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r} is no client's name: expected 1 to 63 of a-z, 0-9 and '-', the first no '-'")
        if len(set(value)) < len(value):
            raise ValueError("two clients have one name: give each its own")
        return value

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9._:-]+", value):
            raise ValueError("expected a name or a number alone, such as 192.168.1.10 or hub.local")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> QuickstartSettings:
        if self.mode == "private" and len(self.clients) < 2:
            raise ValueError("in private mode a round averages two clients at least: name more, or add --mode evaluation")
        if self.secure and len(self.clients) < LEAST:
            raise ValueError(f"--secure: a sum of fewer than {LEAST} clients tells one what the other sent: name more, or leave it out")
        return self
