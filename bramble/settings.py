"""Settings of the commands that belong to no room."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DemoSettings(BaseSettings):
    """Run the whole product on this machine: the server, mock-sensor clients as real processes, and the inspector."""

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_", extra="ignore")

    clients: int = Field(5, ge=1, le=50, description="How many clients; each replays the recording of another place.")
    rounds: int = Field(10, ge=1, le=150, description="How many rounds; together they live through the recorded year.")
    exit: bool = Field(
        False, description="Stop after the last round, with code 0 only if all of them committed.", json_schema_extra={"flags": "--exit"}
    )
    port: int = Field(5000, ge=0, le=65535, description="Port of the server; 0 takes a free one.")
    inspector_port: int = Field(8050, ge=0, le=65535, description="Port of the inspector; 0 takes a free one.")
    data_dir: Path | None = Field(None, description="Keep data and logs here; without it a temporary folder is removed at the end.")


class FleetSettings(BaseSettings):
    """Show every client: version, newest sample, last round, and how the machine is."""

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_", extra="ignore")

    server: str = Field("http://127.0.0.1:5000", description="Address of the server.")
    token_file: Path | None = Field(None, description="File with a token of the http section.")
    ca: Path | None = Field(None, description="Certificate (PEM) of the authority that signed the server's.")
    timeout: float = Field(10.0, gt=0, le=300, description="Seconds to wait for an answer.")
    as_json: bool = Field(False, description="Print JSON instead of a table.", json_schema_extra={"flags": "--json"})
