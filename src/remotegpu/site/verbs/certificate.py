"""``site certificate``: the certificate that nginx shows, renewed when it is time. Meant for a daily timer."""

from datetime import datetime

from remotegpu.kit import certificates as reading
from remotegpu.kit.clock import utc_now
from remotegpu.site import runner
from remotegpu.site.commands.compose import Compose
from remotegpu.site.config import named_files
from remotegpu.site.deploying import certificates
from remotegpu.site.deploying.deployment import NGINX_CONFIGURATION
from remotegpu.site.place import Place
from remotegpu.site.verbs.holding import held


def renew(place: Place) -> tuple[bool, datetime]:
    """Whether another one is shown now, and when the one that is shown ends.

    Raises :class:`~remotegpu.site.public_certificate.PublicCertificateError`, and
    :class:`~remotegpu.site.config.problems.ConfigError` for files that do not fit; the old one goes on serving then.
    """
    named_files.require(place.config_path, place.config, utc_now())
    with held(place, "renew the certificate"):
        certificates.renew(place, utc_now())
        changed = certificates.write(place, utc_now())
        if changed:
            compose = Compose(place.directory)
            runner.run(compose.execute("nginx", "nginx", *NGINX_CONFIGURATION, "-t", "-q"))
            runner.run(compose.signal("nginx", "HUP"))
        shown = place.directory / certificates.DIRECTORY / "cert.pem"
        return changed, reading.ends_at(shown.read_text(encoding="utf-8"))
