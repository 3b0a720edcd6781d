"""``remotegpu site``: a deployment out of one ``remotegpu.yaml``."""

from cyclopts import App

from remotegpu.cli.site import (
    alerts,
    certificate,
    configuration,
    data,
    diagnose,
    images,
    offsite,
    releases,
    secrets,
    status,
)

app = App(name="site", help="A deployment out of one remotegpu.yaml.", help_format="plaintext")
configuration.register(app)
certificate.register(app)
releases.register(app)
data.register(app)
offsite.register(app)
status.register(app)
app.command(secrets.app)
app.command(alerts.app)
app.command(diagnose.app)
images.register(app)
