"""What goes wrong is named, stops before harm, and leaves the running database and the backups as they were."""

import re
import signal
import subprocess

from stack.backups.bed import FIRST_KEY, Bed

PYTHON = "/opt/remotegpu/bin/python"
INTACT = "SELECT count(*) || ' ' || (SELECT count(*) FROM pg_database) FROM customers"


def started(site: Bed, *arguments: str) -> subprocess.Popen[str]:
    """``remotegpu backups …``, not waited for."""
    argv = ["docker", "exec", f"{site.name}-backup", "remotegpu", "backups", *arguments]
    return subprocess.Popen(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


KILL = """
import os, pathlib, re, sys
for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    line = path.read_bytes().replace(bytes(1), b" ").decode()
    if int(path.parent.name) != os.getpid() and re.search(sys.argv[1], line):
        os.kill(int(path.parent.name), int(sys.argv[2]))
"""
FETCH = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:9108/metrics", timeout=5).read().decode())
"""


def kill(site: Bed, pattern: str, number: signal.Signals) -> None:
    """Signals the processes in the ``backup`` container whose command line matches."""
    site.sh("backup", PYTHON, "-c", KILL, pattern, str(int(number)))


def processes(site: Bed) -> str:
    return subprocess.run(
        ["docker", "top", f"{site.name}-backup", "-efww"], check=True, text=True, capture_output=True
    ).stdout


def test_a_corrupted_dump_is_refused_before_anything_starts(own_site: Bed) -> None:
    site = own_site
    (good,) = [each for each in site.backups("list")["backups"] if each["kind"] == "database"]
    (spoilt,) = site.backups("run", "--kind", "database")["backups"]
    dump = site.root / f"backups/postgresql/{spoilt['id']}/database.dump"
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 0xFF
    dump.write_bytes(content)
    before = site.psql("remotegpu", INTACT)
    said = site.backups("restore", "--into", "copy", "--backup", spoilt["id"], status=1)["error"]
    assert "another checksum" in said
    assert "nothing was started" in said
    verified = site.backups("verify", status=1)
    assert [each["id"] for each in verified["verified"] if each["problems"]] == [spoilt["id"]]
    drill = site.backups("drill", status=1)["drill"]
    assert "another checksum" in drill["error"]
    assert site.psql("remotegpu", INTACT) == before
    site.start_backup(env={"BACKUP_KEEP_DAYS": "1"})
    assert site.backups("prune", "--dry-run")["removed"] == []
    site.backups("restore", "--into", "copy", "--backup", good["id"])


def test_a_missing_wal_segment_is_named(own_site: Bed) -> None:
    site = own_site
    site.backups("restore", "--into", "first", "--at", site.moment())
    site.psql("remotegpu", "INSERT INTO customers (name) VALUES ('in the lost segment')")
    lost = site.psql("remotegpu", "SELECT pg_walfile_name(pg_current_wal_lsn())")
    site.psql("remotegpu", "SELECT pg_switch_wal()")
    archived = site.root / "backups/pgbackrest/archive/remotegpu"
    site.until(lambda: bool(list(archived.rglob(f"{lost}-*"))), f"archiving of {lost}")
    site.psql("remotegpu", "INSERT INTO customers (name) VALUES ('after it')")
    at = site.moment()
    (segment,) = archived.rglob(f"{lost}-*")
    segment.unlink()
    before = site.psql("remotegpu", INTACT)
    said = site.backups("restore", "--into", "copy", "--at", at, status=1)["error"]
    assert f"WAL segment {lost} is not in the archive" in said
    assert "the newest moment before the gap is" in said
    assert site.psql("remotegpu", INTACT) == before
    assert {path.name for path in (site.root / "scratch").iterdir()} == {".lock"}


def test_a_wrong_key_is_named(own_site: Bed) -> None:
    site = own_site
    at = site.moment()
    site.keys("another-key")
    before = site.psql("remotegpu", INTACT)
    for arguments in (["restore", "--into", "copy", "--at", at], ["run", "--kind", "base"]):
        said = site.backups(*arguments, status=1)["error"]
        assert "the key in pgBackRest's configuration does not open the repository" in said
        assert "another-key" not in said
    assert site.psql("remotegpu", INTACT) == before
    site.keys(FIRST_KEY)
    site.backups("restore", "--into", "copy", "--at", at)


def test_too_small_a_disk_is_refused_before_anything_starts(own_site: Bed) -> None:
    site = own_site
    at = site.moment()
    (dump,) = site.backups("run", "--kind", "database")["backups"]
    site.start_backup(scratch="size=48m,uid=999,gid=999")
    before = site.psql("remotegpu", INTACT)
    said = site.backups("restore", "--into", "copy", "--at", at, status=1)["error"]
    assert re.search(r"needs \d+ MiB in /scratch, found \d+ MiB free", said)
    assert "MiB in /scratch" in site.backups("drill", status=1)["drill"]["error"]
    assert site.psql("remotegpu", INTACT) == before
    site.start_backup(env={"BACKUP_DIR": "/scratch/small"}, scratch="size=48m,uid=999,gid=999")
    assert "MiB in /scratch/small" in site.backups("run", "--kind", "database", status=1)["error"]
    site.start_backup()
    assert dump["id"] in {each["id"] for each in site.backups("list")["backups"]}


def test_a_lost_cluster_comes_back_in_a_new_one_up_to_the_last_archived_commit(own_site: Bed) -> None:
    site = own_site
    site.psql("remotegpu", "INSERT INTO customers (name) VALUES ('archived')")
    lost = site.psql("remotegpu", "SELECT pg_walfile_name(pg_current_wal_lsn())")
    site.psql("remotegpu", "SELECT pg_switch_wal()")
    archived = site.root / "backups/pgbackrest/archive/remotegpu"
    site.until(lambda: bool(list(archived.rglob(f"{lost}-*"))), f"archiving of {lost}")
    site.replace_cluster()
    refused = site.backups("run", "--kind", "base", status=1)["error"]
    assert "the repository holds the backups of another cluster" in refused
    restored = site.backups("restore", "--into", "rescued", "--at", "newest")["restored"]
    assert restored["rows"] > 2000
    site.backups("swap", "--into", "rescued")
    assert site.psql("remotegpu", "SELECT count(*) FROM customers WHERE name = 'archived'") == "1"
    (base,) = site.backups("run", "--kind", "base", "--new-cluster")["backups"]
    assert base["base"]["type"] == "full"
    site.backups("run", "--kind", "database")
    site.until_later_than(base["finished_at"])
    assert site.backups("drill")["drill"]["passed"]


def test_a_killed_backup_is_no_backup_and_the_next_run_clears_it_away(own_site: Bed) -> None:
    site = own_site
    lock = ["docker", "exec", "--interactive", f"{site.name}-postgresql", "psql", "-Xq", "-d", "remotegpu"]
    with subprocess.Popen(lock, stdin=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        holder.stdin.write("BEGIN; LOCK TABLE customers IN ACCESS EXCLUSIVE MODE;\n")
        holder.stdin.flush()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        running = started(site, "run", "--kind", "database")
        site.until(lambda: site.psql("postgres", waiting) != "0", "a dump that waits")
        second = site.backups("run", "--kind", "redis", status=1)["error"]
        assert re.search(r"backup of kind database by postgres on \w+, pid \d+, since", second)
        kill(site, "backups run|pg_dump", signal.SIGKILL)
        running.wait()
        holder.stdin.write("COMMIT;\n")
    (left,) = (site.root / "backups/postgresql").glob("*.unfinished")
    assert left.name not in str(site.backups("list"))
    site.backups("run", "--kind", "database")
    assert not left.exists()


def test_a_killed_drill_leaves_a_cluster_that_the_next_one_clears_away(own_site: Bed) -> None:
    site = own_site
    running = started(site, "drill")
    site.until(lambda: "postgresql.conf" in processes(site), "a scratch cluster")
    kill(site, "remotegpu backups", signal.SIGKILL)
    running.wait()
    assert any(path.is_dir() for path in (site.root / "scratch").iterdir())
    assert site.backups("drill")["drill"]["passed"]
    assert {path.name for path in (site.root / "scratch").iterdir()} == {".lock"}
    assert "postgresql.conf" not in processes(site)


def test_a_restore_that_is_told_to_end_takes_everything_with_it(own_site: Bed) -> None:
    site = own_site
    running = started(site, "drill")
    site.until(lambda: "postgresql.conf" in processes(site), "a scratch cluster")
    kill(site, "remotegpu backups", signal.SIGTERM)
    running.wait(timeout=60)
    assert "postgresql.conf" not in processes(site)
    assert {path.name for path in (site.root / "scratch").iterdir()} == {".lock"}


def test_the_schedule_does_what_is_due_serves_metrics_and_ends_when_told(own_site: Bed) -> None:
    site = own_site
    name = site.start_backup("remotegpu", "backups", "schedule", env={"S3_ENDPOINT": ""})
    metrics = (PYTHON, "-c", FETCH)

    def done() -> bool:
        said = site.attempt("backup", *metrics).stdout
        return all(
            f'last_success_timestamp_seconds{{kind="{kind}"}}' in said
            for kind in ("database", "base", "redis")
        )

    site.until(done, "a backup of each kind", timeout_s=180)
    assert "remotegpu_backup_wal_archive_lag_seconds" in site.sh("backup", *metrics)
    assert "found a schedule at work" in site.attempt("backup", "remotegpu", "backups", "schedule").stderr
    subprocess.run(["docker", "stop", "--time", "60", name], check=True, stdout=subprocess.DEVNULL)
    state = subprocess.run(
        ["docker", "inspect", "--format={{.State.ExitCode}}", name],
        check=True,
        text=True,
        capture_output=True,
    ).stdout
    assert state.strip() == "143", "137 would be: it had to be killed"
    made = len(list((site.root / "backups/postgresql").iterdir()))
    site.start_backup(env={"S3_ENDPOINT": ""})
    site.sh("backup", "remotegpu", "backups", "schedule", "--once")
    assert len(list((site.root / "backups/postgresql").iterdir())) == made, "twice for one due time"
