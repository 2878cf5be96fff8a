"""What Alembic does with the migrations: on the server's own connection, or for ``make migration`` on a scratch database."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine

from bramble_server.store import mirror, schema
from bramble_server.store.dialect import upsert


def note(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:
    """Note the version where every release looks for it."""
    upsert(ctx.connection, schema.meta, [{"name": "schema", "value": int(step.up_revision_id)}])


def number(ctx: Any, revision: Any, directives: list[Any]) -> None:
    """Call a new migration by the number that follows."""
    directives[0].rev_id = f"{int(context.script.get_current_head() or 0) + 1:04}"


def run(connection: Connection) -> None:
    """Do what was asked for on this connection."""
    context.configure(
        connection=connection,
        target_metadata=mirror.readings.metadata,  # with mirror imported, all tables are in it
        render_as_batch=True,
        on_version_apply=note,
        process_revision_directives=number,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with create_engine(context.get_x_argument(as_dictionary=True)["database"]).begin() as scratch:
        run(scratch)
