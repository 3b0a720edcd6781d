"""Give customers a tier"""

import sqlalchemy as sa
from alembic import op

revision = "9002_pre_tier"
down_revision = "9001_pre_notes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("customers", sa.Column("tier", sa.String(), server_default="standard", nullable=False))
