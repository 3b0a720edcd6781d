"""Run migrations from Python; there is no ``alembic.ini``."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

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
    command.upgrade(settings, "head")
    head = ScriptDirectory.from_config(settings).get_current_head()
    assert head is not None
    return head
