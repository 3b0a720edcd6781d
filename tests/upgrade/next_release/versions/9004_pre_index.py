"""Find machines by rack, built while everybody works"""

from alembic import op

revision = "9004_pre_index"
down_revision = "9003_pre_rack"
branch_labels = None
depends_on = None
transactional = False


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_machines_rack", "machines", ["rack"], postgresql_concurrently=True, if_not_exists=True
        )
