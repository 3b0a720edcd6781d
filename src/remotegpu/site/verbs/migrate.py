"""``site migrate --plan``: what a release would change in the database's schema. Migrations run as part of a deploy."""

from remotegpu.site import runner
from remotegpu.site.commands.compose import Compose
from remotegpu.site.deploying import decisions
from remotegpu.site.place import Place


def show_plan(place: Place, version: str | None, *, json_output: bool) -> int:
    """Ask the image of ``version`` (by default the file's). Returns the command's exit status. Changes nothing."""
    wanted = version or place.config.release.version
    image = decisions.image_references(place.config, wanted)["backend"]
    options = ("--json",) if json_output else ()
    command = Compose(place.directory).run_once(
        "migrate", "server", "migrate", "--plan", *options, timeout_s=120
    )
    return runner.pass_through(runner.with_environment(command, {"MIGRATE_IMAGE": image}))
