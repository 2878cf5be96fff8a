"""A large model's weights may be in a file beside the database, and not in its row."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("models", sa.Column("file_check", sa.BigInteger))
