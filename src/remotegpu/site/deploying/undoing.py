"""Taking a deployment back: the release that served before serves again, as it was configured then."""

from remotegpu.site import images, runner
from remotegpu.site.bundle import render, writing
from remotegpu.site.deploying import decisions, schema, watching
from remotegpu.site.deploying.deployment import Deployment
from remotegpu.site.releases import Release


def undo(deployment: Deployment) -> str:
    """Bring everything back to the release before. May be done again after a crash. Returns what serves now."""
    previous = deployment.previous
    if previous is None:
        return _withdraw(deployment)
    if _cannot_go_back(deployment, previous):
        return f"{deployment.plan.version} serves: migrations took away what {previous.version} needs"
    writing.write(deployment.place.directory, deployment.releases.bundle(previous))
    _restore_images(deployment, previous)
    within = deployment.place.config.release.start_seconds
    watching.start(deployment, f"backend-{previous.slot}", f"frontend-{previous.slot}", within_s=within)
    deployment.write_state(render.upstreams(deployment.place.config, previous.slot, previous.slot))
    deployment.reload_nginx()
    watching.start(deployment, "worker", "backup", within_s=within)
    if deployment.plan.slot != previous.slot:
        watching.stop_slot(deployment, deployment.plan.slot)
    return f"{previous.version} serves"


def _withdraw(deployment: Deployment) -> str:
    """The first release of a site: nothing served before, and nothing half made serves now. Data stays."""
    services = ["nginx", deployment.backend, deployment.frontend, "worker", "backup"]
    runner.attempt(deployment.compose.stop(*services, within_s=120))
    return "nothing serves: this was the first release"


def _restore_images(deployment: Deployment, previous: Release) -> None:
    images.require(previous.image_ids, previous.version)
    present = deployment.variables() | {
        f"BACKEND_{previous.slot.upper()}_IMAGE": previous.image_ids["backend"],
        f"FRONTEND_{previous.slot.upper()}_IMAGE": previous.image_ids["frontend"],
        "MIGRATE_IMAGE": previous.image_ids["backend"],
        "WORKER_IMAGE": previous.image_ids["backend"],
        "BACKUP_IMAGE": previous.image_ids["postgresql"],
    }
    deployment.set_variables(present | decisions.component_variables(previous.image_ids))


def _cannot_go_back(deployment: Deployment, previous: Release) -> bool:
    """Whether this deployment came as far as migrations that contract, and applied one."""
    begun = {
        entry.step
        for run in deployment.journal.runs()
        if run.run == deployment.plan.id
        for entry in run.entries
    }
    return "migrate-post" in begun and bool(schema.plan(deployment).contracted_since(previous.schema))
