"""What clients counted in an evaluation is stored with their errors."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("scores", sa.Column("counts", sa.JSON))
