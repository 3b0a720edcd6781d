"""Which migrations the release that serves brings and the database lacks."""

from remotegpu.site import runner
from remotegpu.site.commands.compose import Compose
from remotegpu.site.deploying import schema
from remotegpu.site.deploying.deployment import DeployError
from remotegpu.site.place import Place
from remotegpu.site.status.facts import Unknown
from remotegpu.site.status.judging.wording import end_of


def pending(place: Place) -> tuple[str, ...] | Unknown:
    """Asks the image that migrates, in a container that goes away; it only plans."""
    command = Compose(place.directory).run_once(
        "migrate", "server", "migrate", "--plan", "--json", timeout_s=schema.PLAN_S
    )
    done = runner.attempt(command)
    try:
        return schema.read_plan(schema.last_json(done.output)).pending
    except (DeployError, ValueError, KeyError, TypeError):
        said = end_of(done.output) or "no answer"
        return Unknown(f"could not be asked: {said}", "Find out why: remotegpu site diagnose database")
