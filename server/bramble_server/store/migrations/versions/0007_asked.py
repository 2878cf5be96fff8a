"""A client's update may count in a later round than the one that it was asked in."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("updates", sa.Column("asked", sa.Integer))
