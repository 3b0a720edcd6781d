"""``remotegpu site certificate``: what nginx shows, renewed when it is time."""

from typing import TYPE_CHECKING

from cyclopts import App

from remotegpu.cli.output import print_json, print_line
from remotegpu.cli.site.shared import DEFAULT, ConfigPath, Json, failed, guarded

if TYPE_CHECKING:
    from remotegpu.site.place import Place


def certificate(*, config: ConfigPath = DEFAULT, json_output: Json = False) -> int:
    """Renew the certificate when it is time, and say when the one that is shown ends. For a daily timer.

    With tls.mode files it takes in what lies in the files now.
    """

    def act(place: "Place") -> int:
        from remotegpu.site.public_certificate import PublicCertificateError
        from remotegpu.site.verbs import certificate as verb

        try:
            changed, ends_at = verb.renew(place)
        except PublicCertificateError as error:
            return failed(error, json_output=json_output)
        if json_output:
            print_json({"ok": True, "changed": changed, "ends_at": ends_at})
        else:
            print_line(
                f"{'another one is shown now' if changed else 'as it was'}; it ends on {ends_at:%Y-%m-%d}"
            )
        return 0

    return guarded(config, act, json_output=json_output)


def register(app: App) -> None:
    app.command(certificate)
