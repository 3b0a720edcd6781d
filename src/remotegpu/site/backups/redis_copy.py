"""Redis: a fresh RDB file and the append-only file, copied and checked."""

import shutil
import time
from pathlib import Path

from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import Redis
from remotegpu.site.backups.settings import RedisSettings
from remotegpu.site.backups.work import Say
from remotegpu.site.runner import Command, CommandError, attempt, run

RDB = "dump.rdb"
AOF = "appendonlydir"
AOF_MANIFEST = "appendonly.aof.manifest"
SAVE_S = 600.0
PAUSE_S = 0.1
COPIES = 5
"""How often to begin anew because Redis rewrote its append-only file meanwhile."""


def save(settings: RedisSettings, folder: Path, say: Say) -> Redis:
    """Copy it into ``folder``. The account needs no more than PING, INFO and BGSAVE. Raises :class:`BackupError`."""
    before = _persistence(settings)
    say("Redis writes its RDB file")
    _ask(settings, "BGSAVE", "SCHEDULE")
    _wait_for_save(settings, int(before.get("rdb_saves", "0")))
    shutil.copyfile(_there(settings.data_dir / RDB), folder / RDB)
    _check("redis-check-rdb", folder / RDB)
    aof = before.get("aof_enabled") == "1"
    if aof:
        _copy_aof(settings.data_dir / AOF, folder / AOF)
    return Redis(version=_info(settings, "server").get("redis_version", ""), aof=aof)


def _wait_for_save(settings: RedisSettings, saves: int) -> None:
    until = time.monotonic() + SAVE_S
    while time.monotonic() < until:
        now = _persistence(settings)
        if now.get("rdb_last_bgsave_status") != "ok":
            raise BackupError(
                "Redis could not write its RDB file (rdb_last_bgsave_status is err): look into its log"
            )
        if int(now.get("rdb_saves", "0")) > saves and now.get("rdb_bgsave_in_progress") == "0":
            return
        time.sleep(PAUSE_S)
    raise BackupError(f"Redis did not end its BGSAVE within {SAVE_S:g} s")


def _copy_aof(source: Path, target: Path) -> None:
    """Files that the manifest names never change but for the last, which grows: a manifest that stayed the same means
    a copy that is whole up to its last command, and the check cuts off a half one."""
    for _ in range(COPIES):
        shutil.rmtree(target, ignore_errors=True)
        before = _there(source / AOF_MANIFEST).read_bytes()
        try:
            shutil.copytree(source, target)
        except (FileNotFoundError, shutil.Error):
            continue  # a rewrite removed one
        if before == (target / AOF_MANIFEST).read_bytes() == (source / AOF_MANIFEST).read_bytes():
            _check("redis-check-aof", "--fix", target / AOF_MANIFEST)
            return
    raise BackupError(
        f"{source} changed during each of {COPIES} copies, expected Redis to rewrite it more seldom"
    )


def _there(path: Path) -> Path:
    if not path.exists():
        raise BackupError(
            f"found no {path}, expected Redis's volume there (REDIS_DATA_DIR), readable by this account"
        )
    return path


def _check(program: str, *arguments: str | Path) -> None:
    try:
        run(Command(argv=(program, *map(str, arguments)), stdin=b"y\n", timeout_s=SAVE_S))
    except CommandError as error:
        raise BackupError(f"the copy of Redis's data cannot be read and is not kept: {error}") from error


def _persistence(settings: RedisSettings) -> dict[str, str]:
    return _info(settings, "persistence")


def _info(settings: RedisSettings, section: str) -> dict[str, str]:
    return info_fields(_ask(settings, "INFO", section))


def info_fields(text: str) -> dict[str, str]:
    """``name:value`` lines. Pure."""
    lines = (line.strip().partition(":") for line in text.splitlines())
    return {name: value for name, colon, value in lines if colon and not name.startswith("#")}


def _ask(settings: RedisSettings, *words: str) -> str:
    """The password goes by the environment: arguments are for everybody to read. ``-e``: an error is a failure."""
    command = Command(
        argv=(
            "redis-cli",
            "-e",
            "-h",
            settings.host,
            "-p",
            str(settings.port),
            "--user",
            settings.user,
            *words,
        ),
        env={"REDISCLI_AUTH": settings.password},
        secrets=(settings.password,),
        timeout_s=30,
    )
    done = attempt(command)
    if done.code != 0 or "AUTH failed" in done.output:
        raise BackupError(
            f"Redis at {settings.host}:{settings.port} refused {words[0]}: {done.output.strip()[-500:]}. Expected the "
            f"account {settings.user} to be there, with REDIS_PASSWORD_FILE's password and +ping +info +bgsave."
        )
    return done.output
