"""The steps of a deployment, in order. Each may be done again after a crash: it makes things so, whatever they are."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from remotegpu.kit.clock import utc_now
from remotegpu.site import authority, database_roles, images, keeping, runner, secret_copies, secrets
from remotegpu.site.bundle import render, topology, writing
from remotegpu.site.commands import docker
from remotegpu.site.deploying import certificates, decisions, retired_keys, safety, schema, watching
from remotegpu.site.deploying.deployment import DeployError, Deployment, wait_until
from remotegpu.site.deploying.schema import last_json
from remotegpu.site.public_certificate import PublicCertificateError
from remotegpu.site.releases import Release

GIT_LABEL = "org.opencontainers.image.revision"
START_STORES_S = 180
MIGRATION_S = 3600.0
BACKUP_WAIT_S = 1800
"""For a scheduled backup that is at work."""
PROBE_WITHIN = timedelta(seconds=20)


@dataclass(frozen=True)
class Step:
    """``act`` returns what is worth saying of it. ``applies``: whether there is anything to do.

    ``of_services``: why it failed is in the logs of the site's services, rather than in what its commands said.
    """

    name: str
    title: str
    act: Callable[[Deployment], str]
    applies: Callable[[Deployment], bool] = lambda _: True
    of_services: bool = False


def write_bundle(deployment: Deployment) -> str:
    """Configuration, secrets and certificates, where the containers read them."""
    place, now = deployment.place, utc_now()
    first = deployment.previous is None
    changed = writing.write(place.directory, deployment.bundle)
    copies = write_secrets(deployment)
    certificates.write(place, now)
    if not (place.directory / "nginx/upstreams/active.conf").exists():
        deployment.write_state(render.upstreams(place.config, deployment.plan.slot, deployment.plan.slot))
    variables = decisions.variables_for_start(
        deployment.variables(),
        deployment.plan.slot,
        deployment.plan.image_ids,
        secret_copies.fingerprint(copies, "backend"),
        restart_database=first or deployment.plan.restart_database,
    )
    deployment.set_variables(variables)
    runner.run(deployment.compose.check())
    return f"{len(changed)} files changed" if changed else "nothing changed"


def write_secrets(deployment: Deployment) -> secret_copies.Copies:
    """Each service's copies, where it reads them."""
    place, now = deployment.place, utc_now()
    secrets.ensure(place.originals)
    retired_keys.forget(place, now)
    signer = authority.ensure(place.originals, place.config.site.name, now)
    database = authority.server_pair(place.originals, signer, "postgresql", now)
    copies = secret_copies.decide(
        place.config, lambda name: secrets.read(place.originals, name), signer.certificate, database
    )
    secret_copies.write(place.directory, copies, topology.UIDS)
    return copies


def start_stores(deployment: Deployment) -> str:
    """Database, cache, object store: started, or left as they are."""
    make_backup_directories(deployment)
    stores = ["postgresql", "redis"] + (["rustfs"] if deployment.place.config.components.rustfs else [])
    watching.start(deployment, *stores, within_s=START_STORES_S)
    return ", ".join(stores)


def make_backup_directories(deployment: Deployment) -> None:
    """Owned by whom the backups are made."""
    kinds = ("postgresql", "pgbackrest", "base", "redis", "objects", "config", "secrets", "drills")
    for name in ("scratch", "backups", *(f"backups/{kind}" for kind in kinds)):
        secret_copies.make_owned_directory(deployment.place.directory / name, topology.UIDS["backup"])


def make_roles(deployment: Deployment) -> str:
    """Roles and their passwords, as the secrets say."""
    originals = deployment.place.originals

    def password_of(role: str) -> str:
        return secrets.read(originals, secret_copies.password_of(role))[0]

    psql = ("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres")
    statements = database_roles.sql(password_of).encode()
    runner.run(deployment.compose.execute("postgresql", *psql, stdin=statements))
    return f"{topology.OWNER_ROLE}, {', '.join(topology.APP_ROLES)}"


def back_up(deployment: Deployment) -> str:
    """Before anything touches the data."""
    return safety.back_up(deployment.compose, f"before {deployment.plan.version}", wait_s=BACKUP_WAIT_S)


def migrate_before(deployment: Deployment) -> str:
    """What the new code needs, and the old one does not mind."""
    return _migrate(deployment, "pre")


def migrate_after(deployment: Deployment) -> str:
    """What the old code needed goes, now that it is gone."""
    if not schema.known(deployment).pending_after:
        return "nothing is pending"
    said = _migrate(deployment, "post")
    schema.plan(deployment)
    return said


def _migrate(deployment: Deployment, phase: str) -> str:
    done = runner.run(
        deployment.compose.run_once(
            "migrate", "server", "migrate", "--phase", phase, "--json", timeout_s=MIGRATION_S
        )
    )
    return f"schema is at {last_json(done.output).get('revision', '?')}"


def prepare_objects(deployment: Deployment) -> str:
    """The bucket for logs and artifacts."""
    done = runner.run(deployment.compose.run_once("migrate", "server", "prepare-objects", timeout_s=60))
    return done.output.strip().splitlines()[-1] if done.output.strip() else ""


def empty_slot(deployment: Deployment) -> str:
    """What still runs in the slot is an older release in reserve: its connections may end by themselves first."""
    if watching.slot_is_as_wanted(deployment):
        return "the release stands there already"
    return watching.drain(deployment, deployment.plan.slot)


def start_release(deployment: Deployment) -> str:
    """Beside the one that serves; nobody reaches it yet."""
    within = deployment.place.config.release.start_seconds
    watching.start(deployment, deployment.backend, deployment.frontend, within_s=within)
    return f"{deployment.backend}, {deployment.frontend}"


def show_to_nginx(deployment: Deployment) -> str:
    """nginx learns of it as a candidate, on a port that nobody outside reaches."""
    previous = deployment.previous
    active = previous.slot if previous else deployment.plan.slot
    deployment.write_state(render.upstreams(deployment.place.config, active, deployment.plan.slot))
    watching.start(deployment, "nginx", within_s=60)
    if previous is not None:
        deployment.reload_nginx()
    return f"candidate {deployment.plan.slot}"


def probe_through_nginx(deployment: Deployment) -> str:
    """The way a customer's request will go: API, health and console."""
    base = f"http://nginx:{topology.PROBE_PORT}/candidate"
    said = ""

    def answers(path: str) -> bool:
        nonlocal said
        probe = ("python", "-m", "remotegpu.kit.probe", f"{base}{path}")
        done = runner.attempt(deployment.compose.execute(deployment.backend, *probe))
        said = done.output.strip()
        return done.code == 0

    paths = ("/health/ready", "/api/v1/openapi.json", "/")
    for path in paths:
        if not wait_until(lambda path=path: answers(path), PROBE_WITHIN):
            raise DeployError(f"the new release does not answer {path} through nginx: {said}")
    return ", ".join(paths)


def switch(deployment: Deployment) -> str:
    """One file and a reload: new connections go to the new release, those that are open stay where they are.

    While it is watched, the old one answers for it where it falls over.
    """
    deployment.switched_at = utc_now()
    slot = deployment.plan.slot
    deployment.write_state(render.upstreams(deployment.place.config, slot, slot, topology.other(slot)))
    deployment.reload_nginx()
    return slot


def settle(deployment: Deployment) -> str:
    """It did well: from here on it serves alone."""
    slot = deployment.plan.slot
    deployment.write_state(render.upstreams(deployment.place.config, slot, slot))
    deployment.reload_nginx()
    return slot


def bring_certificate(deployment: Deployment) -> str:
    """A public one, when it is missing or about to end. Without it the release serves all the same."""
    try:
        came = certificates.renew(deployment.place, utc_now())
    except PublicCertificateError as error:
        return f"warning: {error}"
    if not came:
        return "the one that is there does"
    certificates.write(deployment.place, utc_now())
    deployment.reload_nginx()
    return "a new one came"


def replace_worker(deployment: Deployment) -> str:
    """Worker and backups follow the release that serves."""
    copies = write_secrets(deployment)
    variables = decisions.variables_once_it_serves(
        deployment.variables(),
        deployment.plan.image_ids,
        secret_copies.fingerprint(copies, "worker"),
        secret_copies.fingerprint(copies, "backup"),
    )
    deployment.set_variables(variables)
    within = deployment.place.config.release.start_seconds
    watching.start(deployment, "worker", "backup", within_s=within)
    return "worker, backup"


def record(deployment: Deployment) -> str:
    """What serves now, never to be changed."""
    plan = deployment.plan
    release = Release(
        id=plan.id,
        version=plan.version,
        slot=plan.slot,
        images=dict(plan.images),
        image_ids=dict(plan.image_ids),
        config_hash=decisions.config_hash(deployment.bundle),
        schema=schema.known(deployment).current,
        git_revision=runner.run(docker.image_label(plan.image_ids["backend"], GIT_LABEL)).output.strip(),
        deployed_at=utc_now(),
        by=plan.by,
        why=plan.why,
    )
    images.keep(plan.image_ids, plan.id)
    deployment.releases.keep(release, deployment.bundle)
    deployment.releases.make_current(release)
    keeping.keep(deployment.place, deployment.bundle, utc_now())
    return release.id


def _has_previous(deployment: Deployment) -> bool:
    return deployment.previous is not None


def _stores_change(deployment: Deployment) -> bool:
    """Whether the application may look at another object store than before."""
    previous = deployment.previous
    if previous is None:
        return True
    before = deployment.releases.bundle(previous).get(".env.backend")
    return _is_new(deployment) and before != deployment.bundle[".env.backend"]


def _is_public(deployment: Deployment) -> bool:
    return deployment.place.config.tls.mode == "acme"


def _is_new(deployment: Deployment) -> bool:
    return not deployment.plan.restores


def _has_data(deployment: Deployment) -> bool:
    return _is_new(deployment) and _has_previous(deployment) and deployment.plan.backup


STEPS: tuple[Step, ...] = (
    Step("bundle", "write configuration and secrets", write_bundle),
    Step("stores", "start database, cache and object store", start_stores, of_services=True),
    Step("roles", "make the database's roles", make_roles),
    Step("backup", "back up the database", back_up, _has_data),
    Step("migrate-pre", "migrate what the new release needs", migrate_before, _is_new),
    Step("objects", "prepare the object store", prepare_objects, _stores_change),
    Step("vacate", "empty the slot", empty_slot, _has_previous, of_services=True),
    Step("start", "start the release beside the old one", start_release, of_services=True),
    Step("candidate", "show it to nginx", show_to_nginx, of_services=True),
    Step("probe", "ask it through nginx", probe_through_nginx, of_services=True),
    Step("switch", "switch", switch, _has_previous, of_services=True),
    Step("certificate", "bring the public certificate", bring_certificate, _is_public),
    Step("worker", "replace worker and backups", replace_worker, of_services=True),
    Step("watch", "watch it serve", watching.watch, of_services=True),
    Step("settle", "let it serve alone", settle, _has_previous, of_services=True),
    Step(
        "retire", "stop the old release where migrations need it", watching.retire, _is_new, of_services=True
    ),
    Step("migrate-post", "migrate what the old release needed", migrate_after, _is_new),
    Step("record", "record the release", record),
)
