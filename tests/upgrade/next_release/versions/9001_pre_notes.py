"""Keep notes in a table of their own, filled by whoever still writes the old column"""

import sqlalchemy as sa
from alembic import op

from remotegpu.server.migrations import chain

revision = "9001_pre_notes"
down_revision = chain.read()[-1].name
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "allocation_notes",
        sa.Column("allocation_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["allocation_id"], ["allocations.id"], name=op.f("fk_allocation_notes_allocation_id")
        ),
        sa.PrimaryKeyConstraint("allocation_id", name=op.f("pk_allocation_notes")),
    )
    op.execute(
        """
        CREATE FUNCTION keep_allocation_note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO allocation_notes (allocation_id, text) VALUES (NEW.id, NEW.note)
            ON CONFLICT (allocation_id) DO UPDATE SET text = excluded.text;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER keep_allocation_note AFTER INSERT OR UPDATE OF note ON allocations "
        "FOR EACH ROW EXECUTE FUNCTION keep_allocation_note()"
    )
