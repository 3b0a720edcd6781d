"""``remotegpu site fetch``: what is off site, brought to a machine that replaces a lost one."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from remotegpu.cli.output import print_json, print_line, print_note
from remotegpu.cli.site.shared import FAILED, Json, failed

if TYPE_CHECKING:
    from remotegpu.site.backups.fetching import Fetched


def fetch(
    *,
    endpoint: Annotated[str, Parameter(help="As in backup.offsite: URL of the S3 service.")],
    bucket: Annotated[str, Parameter(help="The same: the bucket.")],
    region: Annotated[str, Parameter(help="The same: its region.")] = "us-east-1",
    access_key_file: Annotated[Path, Parameter(help="File with the access key.")],
    secret_key_file: Annotated[Path, Parameter(help="File with the secret key.")],
    identity: Annotated[Path, Parameter(help="File with the private age key.")],
    into: Annotated[Path, Parameter(help="Directory of the site; backups/ is made in it.")],
    json_output: Json = False,
) -> int:
    """Bring everything that is off site to this machine, decrypted and checked. What is here already stays.

    For a node that is lost: neither its file nor its secrets are needed, they are what comes first. Goes on where it
    was when it was cut short. The bucket is only read.
    """
    from remotegpu.site import keeping
    from remotegpu.site.backups.buckets import S3Bucket
    from remotegpu.site.backups.errors import BackupError
    from remotegpu.site.backups.fetching import Fetching
    from remotegpu.site.backups.settings import BucketSettings
    from remotegpu.site.bundle.topology import UIDS

    def own(path: Path) -> None:
        if os.geteuid() == 0:  # anybody else may look at them, but no site can
            os.chown(path, UIDS["backup"], UIDS["backup"])

    try:
        keys = keeping.private_keys(identity.read_text(encoding="utf-8"))
        place = BucketSettings(
            endpoint=endpoint.rstrip("/"),
            bucket=bucket,
            region=region,
            access_key=access_key_file.read_text(encoding="utf-8").strip(),
            secret_key=secret_key_file.read_text(encoding="utf-8").strip(),
        )
        fetched = Fetching(S3Bucket(place), keys, into / "backups", own).all(print_note)
    except (BackupError, keeping.KeepingError, OSError) as error:
        return failed(error, json_output=json_output)
    return _show(fetched, into, identity, json_output=json_output)


def _show(fetched: "Fetched", into: Path, identity: Path, *, json_output: bool) -> int:
    if json_output:
        print_json({"ok": not fetched.problems, "fetched": fetched})
    else:
        print_line(
            f"{into / 'backups'}: {len(fetched.backups)} backups, {fetched.contents} contents of objects"
        )
        for problem in fetched.problems:
            print_note(f"remotegpu: {problem}")
        _show_next(fetched, into, identity)
    return FAILED if fetched.problems else 0


def _show_next(fetched: "Fetched", into: Path, identity: Path) -> None:
    """Lines to type."""
    if fetched.configuration:
        print_line(
            "  " + shlex.join(["tar", "xzf", fetched.configuration, "-C", str(into), "remotegpu.yaml"])
        )
    else:
        print_note("remotegpu: found no copy of remotegpu.yaml off site; write one: remotegpu site init")
    if fetched.secrets:
        opening = ["remotegpu", "site", "secrets", "open", fetched.secrets]
        print_line("  " + shlex.join([*opening, "--identity", str(identity), "--into", str(into)]))
    else:
        print_note(
            "remotegpu: found no bundle of secrets off site; without one the base backups and the WAL stay closed, and "
            "dumps can be restored"
        )


def register(app: App) -> None:
    app.command(fetch)
