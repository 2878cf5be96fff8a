"""Settings of ``bramble inspector``: flags, ``BRAMBLE_INSPECTOR_...`` in the environment, or ``[inspector]`` in a TOML file."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from bramble.reach import ReachSettings, Timeout


class InspectorSettings(ReachSettings):
    """Serve the inspector, a page in the browser. It shows the whole fleet learning, and starts its rounds."""

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_INSPECTOR_", extra="ignore")

    host: str = Field("127.0.0.1", description="Address to serve the page on. The page has no login: keep it on loopback.")
    port: int = Field(8050, ge=0, le=65535, description="Port to serve the page on; 0 takes a free one.")
    tls_cert: Path | None = Field(None, description="Certificate chain (PEM) to serve TLS with.")
    tls_key: Path | None = Field(None, description="Private key (PEM) of the certificate.")
    prefix: str = Field("", description="Path under which a proxy in front offers the page, such as /fleet.")
    allowed_hosts: str = Field("", description="More names browsers may open the page under, comma-separated.")
    interval: float = Field(1.0, ge=0.2, le=60, description="Seconds between two looks at the server.")
    timeout: Timeout = 5.0
    history: int = Field(2000, ge=10, le=10_000, description="Newest readings of each channel to keep and show.")

    @field_validator("prefix")
    @classmethod
    def _path(cls, value: str) -> str:
        if value.strip("/") and not re.fullmatch(r"/[A-Za-z0-9._~/-]+", value):
            raise ValueError(f"{value!r} is not a path; write it like /fleet")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _together(self) -> InspectorSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("--tls-cert and --tls-key belong together: give both, or neither")
        return self
