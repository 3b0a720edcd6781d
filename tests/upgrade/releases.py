"""Neighbouring releases of this code: the schema that was published before it, and a made-up one after it."""

import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg

from remotegpu.server.migrations.chain import VERSIONS
from server_client import ServerProcess

HERE = Path(__file__).parent
NEXT = (VERSIONS, HERE / "next_release" / "versions")
"""Folders of the next release's chain: four ``pre`` and a contracting ``post`` on top of what is there."""
PUBLISHED = HERE / "published" / "0002.sql"
"""``pg_dump --inserts`` of the first published schema (0002), with a customer, a lease, a task and a sealed trail."""
ADMIN_PASSWORD = "Granite-lantern-7-orchid"
MEMBER_PASSWORD = "Harbour-violin-3-meadow"


def load_published(env: dict[str, str]) -> None:
    """Fill an empty database as its owner had it."""
    with psycopg.connect(
        host=env["DB_HOST"],
        port=int(env["DB_PORT"]),
        dbname=env["DB_NAME"],
        user=env["DB_OWNER_USER"],
        password=env["DB_OWNER_PASSWORD"],
        sslmode="disable",
    ) as connection:
        connection.execute(PUBLISHED.read_text(encoding="utf-8"))  # pyright: ignore[reportArgumentType] - a file of ours


class LiveServer(ServerProcess):
    """Started when it lives; it need not be ready."""

    def _wait_until_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise RuntimeError(f"the server did not come to life:\n{self.log_path.read_text(encoding='utf-8')}")
