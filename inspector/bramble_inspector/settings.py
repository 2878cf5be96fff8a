"""Settings of ``bramble inspector``: flags, ``BRAMBLE_INSPECTOR_...`` in the environment, or ``[inspector]`` in a TOML file."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from bramble.reach import ReachSettings, Timeout
from bramble_protocol.server_address import on_loopback


class InspectorSettings(ReachSettings):
    """Serve the inspector, a page in the browser. It shows the whole fleet learning, and starts its rounds."""

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_INSPECTOR_", extra="ignore")

    host: str = Field("127.0.0.1", description="Address to serve the page on; beyond loopback it takes a login.")
    port: int = Field(8050, ge=0, le=65535, description="Port to serve the page on; 0 takes a free one.")
    tls_cert: Path | None = Field(None, description="Certificate chain (PEM) to serve the page by TLS with.")
    tls_key: Path | None = Field(None, description="Private key (PEM) of the page's certificate.")
    login: bool = Field(
        False, description="Have people log in: with a token of the server as the password, which opens what it opens there."
    )
    users: Path | None = Field(
        None, description="File of who may log in with a password of their own; bramble inspector password fills it."
    )
    session_hours: float = Field(12.0, gt=0, le=720, description="Hours after which whoever logged in does so again.")
    proxies: int = Field(0, ge=0, le=5, description="Web servers in front that say in X-Forwarded-For and -Proto who asks, and how.")
    without_login: bool = Field(False, description="Serve it beyond loopback to whoever comes, who then may do what its token opens.")
    prefix: str = Field("", description="Path under which a proxy in front offers the page, such as /fleet.")
    allowed_hosts: str = Field("", description="More names browsers may open the page under, comma-separated.")
    interval: float = Field(1.0, ge=0.2, le=60, description="Seconds between two looks at the server.")
    timeout: Timeout = 5.0
    experiments: Path | None = Field(
        None, description="Folder of results of bramble experiment or simulate, shown on the page Experiments."
    )
    history: int = Field(2000, ge=10, le=10_000, description="Newest readings of each channel to keep and show.")

    @field_validator("prefix")
    @classmethod
    def _path(cls, value: str) -> str:
        if value.strip("/") and not re.fullmatch(r"/[A-Za-z0-9._~/-]+", value):
            raise ValueError(f"{value!r} is not a path; write it like /fleet")
        return value.rstrip("/")

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches the page."""
        return on_loopback(self.host)

    @property
    def guarded(self) -> bool:
        """Whether people log in."""
        return self.login or self.users is not None

    @model_validator(mode="after")
    def _together(self) -> InspectorSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("--tls-cert and --tls-key belong together: give both, or neither")
        if self.without_login and self.guarded:
            raise ValueError("--without-login contradicts --login and --users: leave one of them out")
        if not self.loopback and not self.guarded and not self.without_login:
            raise ValueError(
                f"on {self.host} the page is in everybody's reach: have people log in (--login or --users FILE), serve it on 127.0.0.1, "
                "or say --without-login if whoever reaches it may start rounds"
            )
        if not self.loopback and self.guarded and self.tls_cert is None and not self.proxies:
            raise ValueError(
                "passwords would cross the network for everybody to read: give --tls-cert and --tls-key, or --proxies 1 where a web server "
                "in front speaks TLS"
            )
        return self
