"""What has to be renewed in time: secrets, certificates inside the site, the schema."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from remotegpu.site.status.facts import Certificate, RetiredKey, SecretAge, Unknown
from remotegpu.site.status.items import Item
from remotegpu.site.status.judging.wording import compose, not_seen

NOTICE = timedelta(days=14)
"""How long before a secret is due it is spoken of."""
PATIENCE = timedelta(days=2)
"""How long after its time a retired repository may still be there: the daily job removes it once nothing needs it."""
CERTIFICATE_NOTICE = timedelta(days=30)
"""Each deployment renews what ends within so many days."""


def secrets(found: tuple[SecretAge, ...] | Unknown, now: datetime) -> Item:
    if isinstance(found, Unknown):
        return not_seen("secrets", found)
    missing = [secret.name for secret in found if secret.changed_at is None]
    if missing:
        remedy = "Bring them back from the bundle of secrets in backups/secrets; new ones would shut everybody out."
        return Item(name="secrets", level="problem", found=f"missing: {', '.join(missing)}", remedy=remedy)
    due = sorted((moment, secret.name) for secret in found if (moment := due_at(secret)))
    soon = [f"{name} on {moment:%Y-%m-%d}" for moment, name in due if moment - now < NOTICE]
    if soon:
        late = due[0][0] <= now
        said = f"{'overdue' if late else 'due'} for replacement: " + ", ".join(soon)
        return Item(
            name="secrets",
            level="warning",
            found=said,
            remedy="Replace them: remotegpu site secrets rotate all",
        )
    said = f"{len(found)}, the next is due on {due[0][0]:%Y-%m-%d}: {due[0][1]}" if due else f"{len(found)}"
    return Item(name="secrets", level="ok", found=said)


def retired_keys(found: tuple[RetiredKey, ...] | Unknown, now: datetime) -> Iterator[Item]:
    """Nothing where no key is retired."""
    name = "retired keys"
    if isinstance(found, Unknown):
        yield not_seen(name, found)
        return
    kept = [key for key in found if key.is_there]
    late = [key.repository for key in kept if key.until + PATIENCE < now]
    if late:
        yield Item(
            name=name,
            level="warning",
            found=f"time is over, but what they open is still there: {', '.join(late)}",
            remedy=f"See why it stays: {compose('exec backup remotegpu backups prune')}",
        )
    elif kept:
        last = max(key.until for key in kept)
        said = (
            f"{len(kept)} of continuous backups, until {last:%Y-%m-%d}; moments before the rotation need it"
        )
        yield Item(name=name, level="ok", found=said)


def due_at(secret: SecretAge) -> datetime | None:
    """None for one that is replaced when there is a reason to."""
    if secret.changed_at is None or secret.due_after is None:
        return None
    return secret.changed_at + secret.due_after


def inner_certificates(found: tuple[Certificate, ...] | Unknown, now: datetime) -> Iterator[Item]:
    if isinstance(found, Unknown):
        yield not_seen("inner certificates", found)
        return
    for certificate in found:
        left = certificate.ends_at - now
        level = "problem" if left <= timedelta(days=7) else "warning" if left < CERTIFICATE_NOTICE else "ok"
        yield Item(
            name=f"certificate of {certificate.purpose}",
            level=level,
            found=f"{'ended' if left <= timedelta() else 'ends'} on {certificate.ends_at:%Y-%m-%d}",
            remedy="" if level == "ok" else certificate.renewal,
        )


def migrations(pending: tuple[str, ...] | Unknown) -> Item:
    """Those that take away what an older release needs wait until it has gone, so a few may be pending for a while."""
    if isinstance(pending, Unknown):
        return not_seen("migrations", pending)
    if not pending:
        return Item(name="migrations", level="ok", found="none pending")
    return Item(
        name="migrations",
        level="warning",
        found=f"pending: {', '.join(pending)}",
        remedy="Finish the deployment that brings them: remotegpu site deploy",
    )
