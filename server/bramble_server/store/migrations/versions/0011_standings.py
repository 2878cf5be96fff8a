"""How well each model forecast is kept beside it, and which one is the champion."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "standings",
        sa.Column("round", sa.Integer, sa.ForeignKey("models.round", ondelete="CASCADE"), primary_key=True),
        sa.Column("error", sa.Float),
        sa.Column("baseline", sa.Float),
        sa.Column("samples", sa.Integer),
        sa.Column("champion", sa.Boolean, nullable=False),
        sa.Column("pinned", sa.Boolean, nullable=False),
        sa.Column("worse", sa.Integer, nullable=False),
    )
