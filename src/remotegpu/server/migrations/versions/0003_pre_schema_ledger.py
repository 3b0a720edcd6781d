"""Keep a ledger of schema changes, with a checksum of each migration's file"""

import sqlalchemy as sa
from alembic import op

revision = "0003_pre_schema_ledger"
down_revision = "0002_pre_session_credential"
branch_labels = None
depends_on = None

BEFORE = {
    "0001_pre_initial": "7d12263c3f20d5a8b4fedfe9821ea984791f892dd751598ca893226fe2a69805",
    "0002_pre_session_credential": "092dfb93873942e9a675bc6d8a2daed1083f1f5338c60c225a1a199b08562085",
}
"""What had been applied before there was a ledger, with the checksums of those files as they were released."""


def upgrade() -> None:
    table = op.create_table(
        "schema_ledger",
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("contracts", sa.Boolean(), nullable=False),
        sa.Column("checksum", sa.String(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("applied_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_schema_ledger")),
    )
    op.bulk_insert(
        table,
        [
            {
                "revision": name,
                "phase": "pre",
                "contracts": False,
                "checksum": checksum,
                "applied_by": "before the ledger",
            }
            for name, checksum in BEFORE.items()
        ],
        multiinsert=False,
    )
