"""No secret shows where others look: the engine, process lists, logs, the bundle, the record of what was done."""

from collections.abc import Iterator
from pathlib import Path

from remotegpu.kit import certificates
from remotegpu.site.bundle.topology import UIDS
from stack.site.bed import Site
from stack.site.people import Account

PUBLIC = ("db_user", "s3_access_key")
"""The name of a role; the name of a key, which every signed URL carries."""
SHORTEST = 16


def secret_values(site: Site) -> Iterator[tuple[str, str]]:
    """Name and value of every secret; of a private key, a line from its middle."""
    for path in sorted((site.root / "secrets").iterdir()):
        if path.is_dir() or path.name in PUBLIC or path.suffix in {".crt", ".pem"}:
            continue
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        values = [lines[len(lines) // 2]] if text.startswith("-----BEGIN") else lines
        for value in values:
            secret = value.split(" until=")[0].strip()
            assert len(secret) >= SHORTEST, path.name
            yield path.name, secret


def places(site: Site) -> Iterator[tuple[str, str]]:
    """Where others look: name and text."""
    for container in site.containers():
        yield f"inspect {container}", site.engine.docker("inspect", container).stdout
        logs = site.engine.docker("logs", container)
        yield f"logs {container}", logs.stdout + logs.stderr
        yield f"processes {container}", processes(site, container)
    ours = (site.root / "secrets", site.directory / "secrets", site.directory / "nginx/ssl")
    for path in sorted(site.root.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(folder) for folder in ours):
            yield str(path), path.read_bytes().decode(errors="replace")


def processes(site: Site, container: str) -> str:
    """Arguments and environment of each."""
    shown = site.engine.docker("top", container, "-ww", "-eo", "pid,args").stdout
    numbers = [line.split()[0] for line in shown.splitlines()[1:]]
    environments = (environment_of(Path("/proc") / number / "environ") for number in numbers)
    return "\n".join([shown, *environments])


def environment_of(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


def test_no_secret_shows_anywhere(site: Site, at_first: str, administrator: Account) -> None:
    assert at_first
    values = [*secret_values(site), ("the administrator's password", administrator.password)]
    found = list(places(site))
    everything = "\n".join(text for _, text in found)
    for known in (
        "/run/secrets",
        "remotegpu server run",
        "DB_PASSWORD_FILE",
        "request handled",
        site.version(0),
    ):
        assert known in everything, f"the search sees no {known}, so it would see no secret either"
    shown = [(name, place) for name, value in values for place, text in found if value in text]
    assert shown == []
    assert len(values) > 10


def test_originals_and_copies_are_for_their_owners_alone(site: Site, at_first: str) -> None:
    assert at_first
    for folder, mode in ((site.root / "secrets", 0o400), (site.directory / "secrets", 0o400)):
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix not in {".crt", ".pem"}:
                assert path.stat().st_mode & 0o777 == mode, path
    for service, uid in UIDS.items():
        folder = site.directory / "secrets" / service
        for path in (folder, *folder.iterdir()) if folder.exists() else ():
            assert path.stat().st_uid == uid, path
    owners = {path.name: path.stat().st_uid for path in (site.directory / "secrets").iterdir()}
    assert owners["backend"] == owners["worker"] == owners["migrate"] == 10100
    assert owners["postgresql"] == owners["redis"] == owners["backup"] == 999
    assert certificates.ends_at(site.authority.read_text())
