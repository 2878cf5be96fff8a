"""Whose task rounds, models and clients' last updates are; what there was is of the one task that the database was for."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

meta = sa.table("meta", sa.column("name", sa.String), sa.column("value", sa.JSON))


def upgrade() -> None:
    owner = op.get_bind().scalar(sa.select(meta.c.value).where(meta.c.name == "graph"))
    task, *graph = owner or [""]
    for name in ("rounds", "models"):
        op.add_column(name, sa.Column("task", sa.String(63), nullable=False, server_default=task))
        with op.batch_alter_table(name) as batch:
            batch.alter_column("task", server_default=None)
            batch.create_index(f"{name}_task", ["task", "round"])
    op.create_table(
        "latest",
        sa.Column("task", sa.String(63), primary_key=True),
        sa.Column("client", sa.String(63), primary_key=True),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("samples", sa.Integer, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("update_norm", sa.Float),
        sa.Column("cosine", sa.Float),
        sa.Column("distance", sa.Float),
        sa.Column("weights", sa.LargeBinary),
    )
    columns = "client, round, samples, metrics, update_norm, cosine, distance, weights"
    op.execute(sa.text(f"INSERT INTO latest (task, {columns}) SELECT :task, {columns} FROM latest_updates").bindparams(task=task))
    op.drop_table("latest_updates")
    op.rename_table("latest", "latest_updates")
    op.execute(meta.delete().where(meta.c.name == "graph"))
    if owner:
        op.bulk_insert(meta, [{"name": "graphs", "value": {task: graph}}])
