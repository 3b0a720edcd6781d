"""Looks at a site from all sides at once. What cannot be seen is said to be unknown; nothing is changed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from remotegpu.site.place import Place
from remotegpu.site.releases import Releases
from remotegpu.site.status.facts import Facts
from remotegpu.site.status.gathering import alerts, backups, door, engine, keys, records, room, schema

AT_ONCE = 4
"""Questions under way; each mostly waits for an answer."""


def gather(place: Place, as_released: Place, now: datetime) -> Facts:
    """``as_released``: the site with the version that serves, which its configuration is compared with."""
    releases = Releases(place.directory)
    release = releases.current()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pending = pool.submit(schema.pending, place)
        archive = pool.submit(backups.archive, place)
        containers = pool.submit(engine.containers, place)
        entrance = pool.submit(door.look, place)
        disks = pool.submit(room.disks, place.directory)
        images = pool.submit(engine.images_of, containers.result())
    return Facts(
        site=place.config.site.name,
        now=now,
        holder=records.holder(place.directory),
        last_run=records.last_run(place.directory),
        release=release,
        named_version=place.config.release.version,
        config_changes=records.config_changes(as_released, releases, release),
        edited=records.edited(place, releases, release),
        services=engine.services(place),
        containers=containers.result(),
        images=images.result(),
        door=entrance.result(),
        certificates=keys.certificates(place),
        disks=disks.result(),
        backups=backups.look(place, releases.all()),
        archive=archive.result(),
        pending=pending.result(),
        secrets=keys.ages(place),
        retired_keys=keys.retired(place),
        alerts=alerts.look(place),
        components=engine.components(place.config),
    )
