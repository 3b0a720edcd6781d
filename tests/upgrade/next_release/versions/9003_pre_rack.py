"""Say in which rack a machine stands"""

import sqlalchemy as sa
from alembic import op

revision = "9003_pre_rack"
down_revision = "9002_pre_tier"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("machines", sa.Column("rack", sa.String(), nullable=True))
