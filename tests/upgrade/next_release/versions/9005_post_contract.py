"""Notes live in their own table now; drop where they were"""

from alembic import op

revision = "9005_post_contract"
down_revision = "9004_pre_index"
branch_labels = None
depends_on = None
contracts = True


def upgrade() -> None:
    op.execute("DROP TRIGGER keep_allocation_note ON allocations")
    op.execute(
        "INSERT INTO allocation_notes (allocation_id, text) SELECT id, note FROM allocations "
        "ON CONFLICT (allocation_id) DO NOTHING"
    )
    op.drop_column("allocations", "note")
