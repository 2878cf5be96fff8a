"""Models are tried without training."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "evaluations",
        sa.Column("evaluation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("task", sa.String(63), nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("started", sa.Float(53), nullable=False),
        sa.Column("until", sa.Float(53), nullable=False),
        sa.Column("ended", sa.Float(53)),
        sa.Index("evaluations_task", "task", "evaluation"),
    )
    op.create_table(
        "scores",
        sa.Column("evaluation", sa.Integer, sa.ForeignKey("evaluations.evaluation", ondelete="CASCADE"), primary_key=True),
        sa.Column("client", sa.String(63), primary_key=True),
        sa.Column("samples", sa.Integer),
        sa.Column("baseline", sa.Float(53)),
        sa.Column("errors", sa.JSON),
        sa.Column("reason", sa.String(500)),
    )
