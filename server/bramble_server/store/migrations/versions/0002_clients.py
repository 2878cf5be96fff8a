"""Who was ever seen is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "clients",
        sa.Column("id", sa.String(63), primary_key=True),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("protocol", sa.Integer, nullable=False),
        sa.Column("channels", sa.JSON, nullable=False),
        sa.Column("first_seen", sa.Float(53), nullable=False),
        sa.Column("since", sa.Float(53), nullable=False),
        sa.Column("last_seen", sa.Float(53), nullable=False),
        sa.Column("last_cycle", sa.Integer),
        sa.Column("health", sa.JSON),
        sa.Column("health_at", sa.Float(53)),
    )
