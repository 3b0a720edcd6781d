"""Run migrations from Python; there is no ``alembic.ini``."""

import os
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

SAME_ROLE = (
    "warning: DB_OWNER_USER is not set to a role of its own, so the application owns its tables and the audit trail is "
    "protected by a trigger only, which an owner may drop; see docs/concepts/security.md\n"
)
FOLDER = Path(__file__).parent


def config() -> Config:
    """Alembic configured for the migrations in this package."""
    settings = Config()
    settings.set_main_option("script_location", str(FOLDER))
    settings.set_main_option("file_template", "%%(rev)s")
    return settings


def upgrade() -> str:
    """Apply everything pending. Returns the newest revision."""
    settings = config()
    if os.environ.get("DB_OWNER_USER", "") in {"", os.environ.get("DB_USER", "remotegpu_user")}:
        sys.stderr.write(SAME_ROLE)
    command.upgrade(settings, "head")
    head = ScriptDirectory.from_config(settings).get_current_head()
    assert head is not None
    return head
