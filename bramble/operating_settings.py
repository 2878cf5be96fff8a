"""Settings of commands that show one client, begin anew, or gather what a helper needs."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from bramble.settings import OperatorSettings, TaskSettings


class ShowClientSettings(TaskSettings):
    """Show one client. It says what it is, how its machine is, which tasks it takes part in, and what was remarked of it."""

    client: str = Field(description="Its id; bramble client list shows who there is.", json_schema_extra={"values": "clients"})


class ResetSettings(TaskSettings):
    """Forget what was learnt, and go back to the initial models.

    Without --task that is all of the server's data: models, rounds and mirrored readings. Clients keep what they measured. With tokens
    on the server this takes the scope admin.
    """

    yes: bool = Field(False, description="Do not ask first; without a terminal it has to be said.", json_schema_extra={"flags": "--yes"})


class SupportSettings(OperatorSettings):
    """Gather what somebody needs who is to help, in one archive.

    Versions, settings without what may be a secret and whether they work out, this machine, a self-test of the sensors, the services' logs
    of two days, and, where the server answers, how it and its clients are and what its rounds came to. No token, key, password, reading or
    weight is in it; look into it before you send it.
    """

    output: Path = Field(Path("bramble-support.tar.gz"), description="The archive; one that is there is not replaced.")
    settings_in: Path = Field(Path("/etc/bramble"), description="Folder with the settings files.")
