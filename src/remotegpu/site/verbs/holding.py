"""Who changes a site holds it, so that nobody else does at the same time."""

from collections.abc import Generator
from contextlib import contextmanager

from remotegpu.kit.clock import utc_now
from remotegpu.site import lock
from remotegpu.site.place import Place


@contextmanager
def held(place: Place, why: str) -> Generator[None]:
    """Raises :class:`~remotegpu.site.lock.SiteBusyError`, also while a killed one's Docker command still works."""
    place.directory.mkdir(parents=True, exist_ok=True)
    with lock.held(place.directory, why, utc_now(), with_children=True):
        yield
