"""The tables of release 0.1."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table("meta", sa.Column("name", sa.String(63), primary_key=True), sa.Column("value", sa.JSON))
    op.create_table(
        "rounds",
        sa.Column("round", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("reason", sa.String(500)),
        sa.Column("started", sa.Float, nullable=False),
        sa.Column("ended", sa.Float),
        sa.Column("selected", sa.Integer, nullable=False),
        sa.Column("updates", sa.Integer, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
    )
    op.create_table(
        "updates",
        sa.Column("round", sa.Integer, sa.ForeignKey("rounds.round", ondelete="CASCADE"), primary_key=True),
        sa.Column("client", sa.String(63), primary_key=True),
        sa.Column("sent", sa.Float),
        sa.Column("received", sa.Float),
        sa.Column("train_start", sa.Float),
        sa.Column("train_end", sa.Float),
        sa.Column("replied", sa.Float),
        sa.Column("bytes", sa.Integer),
        sa.Column("samples", sa.Integer),
        sa.Column("loss_before", sa.Float),
        sa.Column("loss_after", sa.Float),
        sa.Column("test_error", sa.Float),
        sa.Column("test_baseline", sa.Float),
        sa.Column("test_samples", sa.Integer),
        sa.Column("update_norm", sa.Float),
        sa.Column("cosine", sa.Float),
        sa.Column("distance", sa.Float),
        sa.Column("reason", sa.String(500)),
    )
    op.create_table(
        "models",
        sa.Column("round", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("weights", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "latest_updates",
        sa.Column("client", sa.String(63), primary_key=True),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("samples", sa.Integer, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("update_norm", sa.Float),
        sa.Column("cosine", sa.Float),
        sa.Column("distance", sa.Float),
        sa.Column("weights", sa.LargeBinary),
    )
    op.create_table(
        "series",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("client", sa.String(63), nullable=False),
        sa.Column("channel", sa.String(63), nullable=False),
        sa.Column("unit", sa.String(20), nullable=False),
        sa.UniqueConstraint("client", "channel"),
    )
    op.create_table(
        "readings",
        sa.Column("series", sa.Integer, sa.ForeignKey("series.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("t", sa.Float(53), primary_key=True),
        sa.Column("value", sa.Float(53)),
        sqlite_with_rowid=False,
    )
