"""Settings of commands that show one client, or begin anew."""

from __future__ import annotations

from pydantic import Field

from bramble.settings import ListSettings, TaskSettings


class ShowClientSettings(ListSettings, TaskSettings):
    """Show one client. It says what it is, how its machine is, which tasks it takes part in, and what was remarked of it."""

    client: str = Field(description="Its id; bramble client list shows who there is.")


class ResetSettings(TaskSettings):
    """Forget what was learnt, and go back to the initial models.

    Without --task that is all of the server's data: models, rounds and mirrored readings. Clients keep what they measured. With tokens
    on the server this takes the scope admin.
    """

    yes: bool = Field(False, description="Do not ask first; without a terminal it has to be said.", json_schema_extra={"flags": "--yes"})
