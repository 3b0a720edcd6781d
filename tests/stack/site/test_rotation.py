"""New secrets while people work: nobody is signed out, no request fails, and what was in use before is refused."""

import json
import time

import pyrage

from remotegpu.kit import file_lock
from remotegpu.site import keeping, lock
from stack.site import visitors
from stack.site.bed import Site
from stack.site.people import Account, Session, session_of, sign_in
from stack.site.test_killed import kill_at

PER_SECOND = 100
NEW_TOKEN_S = 60
ROTATED = (
    "jwt_secret",
    "db_user",
    "redis_password",
    "redis_backup_password",
    "db_owner_password",
    "backup_cipher_key",
)
STATE_OF_THE_DATABASE = "SELECT failed_count || ' ' || pg_postmaster_start_time() FROM pg_stat_archiver"
"""How often archiving failed, and since when PostgreSQL runs."""


def redis_lets_in(site: Site, user: str, password: str) -> bool:
    """With the password in its environment, which ``docker exec`` shows to nobody."""
    command = ("exec", "--no-TTY", f"--env=REDISCLI_AUTH={password}", "redis")
    said = site.compose(*command, "redis-cli", "-e", "--user", user, "ping", check=False)
    return "PONG" in said


def database_lets_in(site: Site, role: str, password: str) -> bool:
    """Over TLS and the network, as the application does."""
    address = site.compose("exec", "--no-TTY", "postgresql", "hostname", "-i").split()[0]
    where = f"host={address} user={role} dbname=remotegpu sslmode=require"
    command = (
        "exec",
        "--no-TTY",
        f"--env=PGPASSWORD={password}",
        "postgresql",
        "psql",
        where,
        "-Atc",
        "SELECT 7",
    )
    return site.compose(*command, check=False).strip() == "7"


def test_every_secret_is_replaced_and_nobody_notices(
    site: Site, serving: str, administrator: Account, admin: Session
) -> None:
    assert serving
    old = {name: site.secret(name) for name in ROTATED}
    role = old["db_user"][0]
    old_password = site.secret(f"db_password_{role[-1]}")[0]
    assert database_lets_in(site, role, old_password)
    assert redis_lets_in(site, "remotegpu", old["redis_password"][0])
    before_it, database = a_moment_with_a_base_backup(site), site.psql(STATE_OF_THE_DATABASE)
    with visitors.load(site, admin, PER_SECOND) as load:
        site.do("secrets", "rotate", "all")
        report = load.stop()
    visitors.require_no_failure(report, 1000)
    for name in ROTATED:
        assert site.secret(name)[0] != old[name][0], name
    now = site.secret("db_user")[0]
    assert not database_lets_in(site, role, old_password)
    assert database_lets_in(site, now, site.secret(f"db_password_{now[-1]}")[0])
    assert not redis_lets_in(site, "remotegpu", old["redis_password"][0])
    assert redis_lets_in(site, "remotegpu", site.secret("redis_password")[0])
    still_signed_in(site, admin)
    sign_in(site, administrator)
    assert site.psql(STATE_OF_THE_DATABASE) == database
    every_moment_can_be_restored(site, before_it)


def until_free(site: Site) -> None:
    """What a killed command started holds the site until it has ended."""
    deadline = time.monotonic() + NEW_TOKEN_S
    while file_lock.is_held(site.directory / lock.FILE_NAME):
        assert time.monotonic() < deadline, f"still held after {NEW_TOKEN_S} s"
        time.sleep(0.2)


def a_moment_with_a_base_backup(site: Site) -> str:
    """The base backup is of a second before."""
    site.do("backup", "--kind", "base")
    time.sleep(1.1)
    return site.psql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")


def every_moment_can_be_restored(site: Site, before_it: str) -> None:
    """One that the old key encrypted, and one that the new one did: of the latter the drill makes sure."""
    site.do("restore", "--at", before_it, "--into", "before_the_rotation")
    assert "before_the_rotation" in site.psql("SELECT datname FROM pg_database").split()
    site.psql("DROP DATABASE before_the_rotation")
    site.do("drill")


def test_a_new_encryption_key_survives_a_kill_and_is_in_the_bundle_of_secrets(
    site: Site, serving: str, admin: Session
) -> None:
    """Killed when the key is in use and its base backup is being made: both keys are needed then, and are there."""
    assert serving
    identity = pyrage.x25519.Identity.generate()
    old, serving = site.secret("backup_cipher_key")[0], site.serving()["id"]
    before_it = a_moment_with_a_base_backup(site)
    rotate = ("secrets", "rotate", "encryption-key")
    with (
        site.configured(backup={"age_recipients": [str(identity.to_public())]}),
        visitors.load(site, admin, PER_SECOND) as load,
    ):
        killed = site.start(site.argv(*rotate))
        deadline = time.monotonic() + NEW_TOKEN_S
        while site.secret("backup_cipher_key")[0] == old:
            assert time.monotonic() < deadline, f"no new key in use after {NEW_TOKEN_S} s"
            time.sleep(0.02)
        new = site.secret("backup_cipher_key")[0]
        killed.kill()
        killed.wait()
        until_free(site)
        site.do(*rotate)
        report = load.stop()
    visitors.require_no_failure(report, PER_SECOND)
    assert site.secret("backup_cipher_key")[0] == new
    assert site.secret("backup_cipher_key")[1].startswith(f"{old} until=")
    newest = max((site.directory / "backups/secrets").glob("*.age"))
    assert new.encode() in keeping.opened(newest, str(identity))["backup_cipher_key"]
    assert site.serving()["id"] == serving, "no program reads this key at its start"
    every_moment_can_be_restored(site, before_it)


def still_signed_in(site: Site, session: Session) -> None:
    """The token that the old key signed, and the session behind it."""
    assert "items" in site.door.ask("GET", "/api/v1/machines", token=session.access_token)
    renewed = session_of(
        site.door.ask("POST", "/api/v1/auth/refresh", {"refresh_token": session.refresh_token})
    )
    assert "items" in site.door.ask("GET", "/api/v1/machines", token=renewed.access_token)


def test_a_rotation_that_was_killed_is_gone_on_with(site: Site, serving: str, admin: Session) -> None:
    """In the middle of phase ``use``: both passwords are accepted, and half of the programs use the new one."""
    assert serving
    old = site.secret("redis_password")[0]
    with visitors.load(site, admin, PER_SECOND) as load:
        kill_at(site, "restart", "switch", "done", "secrets", "rotate", "redis")
        done = site.do("secrets", "rotate", "redis", "--json")
        report = load.stop()
    visitors.require_no_failure(report, PER_SECOND)
    assert json.loads(done.output)["rotated"] == ["redis"]
    (new,) = site.secret("redis_password")
    assert new != old
    assert redis_lets_in(site, "remotegpu", new)
    assert not redis_lets_in(site, "remotegpu", old)
    still_signed_in(site, admin)


def test_a_gpu_host_takes_a_new_token(site: Site, serving: str, admin: Session, gpu_host: str) -> None:
    assert serving
    before = token_of(site, gpu_host)
    site.do("secrets", "rotate", "agent:gpu-1")
    deadline = time.monotonic() + NEW_TOKEN_S
    while token_of(site, gpu_host) == before:
        assert time.monotonic() < deadline, f"the same token after {NEW_TOKEN_S} s"
        time.sleep(0.5)
    (machine,) = site.door.ask("GET", "/api/v1/machines", token=admin.access_token)["items"]
    assert machine["reachable"]


def token_of(site: Site, container: str) -> str:
    """Its fingerprint, from the host's own file."""
    find = "cat /var/lib/remotegpu-agent/*token* /etc/remotegpu/agent.env 2>/dev/null | sha256sum"
    return site.engine.docker("exec", container, "sh", "-c", find).stdout
