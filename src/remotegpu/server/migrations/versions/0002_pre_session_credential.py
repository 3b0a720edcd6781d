"""Remember with what each session was opened, so that it ends with it"""

import sqlalchemy as sa
from alembic import op

revision = "0002_pre_session_credential"
down_revision = "0001_pre_initial"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("access_sessions", sa.Column("credential", sa.String(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("access_sessions", "credential")
