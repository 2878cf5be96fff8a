"""How commands and the inspector reach a server over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from bramble_protocol.server_address import server_address

Timeout = Annotated[float, Field(gt=0, le=300, description="Seconds to wait for an answer of the server.")]


class ReachSettings(BaseSettings):
    """Where the server is, and what it asks for; ``bramble.api`` takes this."""

    server: Annotated[str, AfterValidator(server_address)] = Field("http://127.0.0.1:5000", description="Address of the server.")
    token_file: Path | None = Field(None, description="File with a token of the server's http section.")
    ca: Path | None = Field(None, description="Certificate (PEM) of the authority that signed the server's.")
    timeout: Timeout = 10.0
