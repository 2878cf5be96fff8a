"""What a strategy remembers is kept with its model."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("models", sa.Column("strategy", sa.String(63)))
    op.add_column("models", sa.Column("parameters", sa.JSON))
    op.create_table(
        "strategy_state",
        sa.Column("round", sa.Integer, sa.ForeignKey("models.round", ondelete="CASCADE"), primary_key=True),
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("dtype", sa.String(8), nullable=False),
        sa.Column("shape", sa.JSON, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
