"""What clients counted of their tests is stored with the model."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("models", sa.Column("counts", sa.JSON))
