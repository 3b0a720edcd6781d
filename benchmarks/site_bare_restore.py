"""Runs in the backup container: ``pg_restore --jobs=2`` of the dump named, and nothing else, into a scratch cluster.

Its input is this program: ``python - BACKUP``. What else the drill does is done before the clock runs.
"""

import json
import subprocess
import sys
import time

from remotegpu.site.backups import dumping, loading, postgres, programs, scratch, settings
from remotegpu.site.backups.store import Store

found = settings.load()
store = Store(found.backup_dir)
manifest = store.get(sys.argv[1])
database = manifest.database
assert database is not None
folder, version = store.path(manifest), database.server_version
with scratch.space(found, "bare") as place:
    scratch.initialise(place, version, database.superuser)
    scratch.start(place, version)
    loading.load_globals(place.socket, folder / dumping.GLOBALS, database.superuser, version)
    with postgres.connection(place.socket, postgres.MAINTENANCE) as connected:
        postgres.create(connected, database.name, database.properties)
    pg_restore = programs.postgresql("pg_restore", version)
    argv = [
        pg_restore,
        f"--host={place.socket}",
        f"--dbname={database.name}",
        "--jobs=2",
        str(folder / dumping.DUMP),
    ]
    began = time.monotonic()
    subprocess.run(argv, check=True)
    seconds = time.monotonic() - began
print(json.dumps({"pg_restore_s": seconds}))
