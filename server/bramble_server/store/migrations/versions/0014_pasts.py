"""What happened to a client, and how its machine was, is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("clients", sa.Column("past", sa.JSON))
    op.create_table(
        "courses",
        sa.Column("client", sa.String(63), sa.ForeignKey("clients.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("began", sa.Float(53), nullable=False),
        sa.Column("every", sa.Float(53), nullable=False),
        sa.Column("points", sa.LargeBinary, nullable=False),
    )
