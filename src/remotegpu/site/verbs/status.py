"""``site status``: looks, and judges."""

from remotegpu.kit.clock import utc_now
from remotegpu.site.place import Place
from remotegpu.site.releases import Releases
from remotegpu.site.status import gathering, judging
from remotegpu.site.status.items import Report
from remotegpu.site.verbs.deploy import with_version


def status(place: Place) -> Report:
    """How the site is now. Changes nothing."""
    release = Releases(place.directory).current()
    as_released = with_version(place, release.version if release else None)
    return judging.judge(gathering.gather(place, as_released, utc_now()))
