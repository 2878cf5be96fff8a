"""A client belongs to groups."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("clients", sa.Column("groups", sa.JSON))
