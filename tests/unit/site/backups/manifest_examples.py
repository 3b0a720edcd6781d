"""Manifests to test with."""

from datetime import UTC, datetime, timedelta

from remotegpu.site.backups.manifests import Base, Kind, Manifest

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def manifest(kind: Kind, days_old: float, name: str | None = None, label: str = "") -> Manifest:
    at = NOW - timedelta(days=days_old)
    base = Base(label=label, type="full", repository=1, size=1, repository_size=1, wal_start="", wal_stop="")
    return Manifest(
        id=name or f"{at:%Y%m%dT%H%M%SZ}-{kind}",
        kind=kind,
        site="acme",
        started_at=at,
        finished_at=at,
        duration_s=0,
        why="",
        release="v1.0.0",
        tool="0",
        base=base if kind == "base" else None,
    )
