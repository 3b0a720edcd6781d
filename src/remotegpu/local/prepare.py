"""Bring a data directory to the state in which the three data services can start."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from remotegpu.kit import files
from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import new_secret
from remotegpu.local import account as accounts
from remotegpu.local import (
    binaries,
    certificates,
    data_dir,
    interpreter,
    lock,
    objects,
    ports,
    postgres,
    processes,
    secret_files,
    valkey,
)
from remotegpu.local.account import Account
from remotegpu.local.binaries import Binaries
from remotegpu.local.errors import DataDirError
from remotegpu.local.layout import Layout
from remotegpu.local.plan import Options, Site
from remotegpu.local.secret_files import Secrets


@dataclass(frozen=True)
class Tuning:
    """``durable`` is False for throw-away test clusters only; ``valkey_databases`` lets each test have one."""

    durable: bool = True
    valkey_databases: int = 16
    max_connections: int = 100


@dataclass(frozen=True)
class Claim:
    """A data directory that is ours, and what its services will run with and as."""

    layout: Layout
    binaries: Binaries
    account: Account | None


def claim(layout: Layout) -> Claim:
    """Make or recognise the directory; refuse with a :class:`~remotegpu.local.errors.LocalError` before changing it."""
    data_dir.require_directory(layout.root)
    found = binaries.find()
    account = accounts.service_account()
    accounts.require_reachable(layout.root, account)
    if not lock.is_held(layout.lock):
        data_dir.check_free_space(layout.root)
    data_dir.open_directory(layout, account)
    return Claim(layout, found, account)


def prepare(claimed: Claim, options: Options, tuning: Tuning) -> Site:
    """Make what is missing. Nothing of the platform may run in the directory any more: its ports are probed."""
    layout, found, account = claimed.layout, claimed.binaries, claimed.account
    cluster_exists = data_dir.check_cluster(layout)
    site = Site(
        layout=layout,
        secrets=secret_files.ensure(layout.secrets, database_exists=cluster_exists),
        ports=ports.allocate(layout.ports),
        binaries=found,
        postgres_bin=accounts.reachable_postgres(layout, found, account),
        account=account,
        options=options,
        task_python=task_python(layout, options, account),
    )
    if not cluster_exists:
        make_cluster(site, durable=tuning.durable)
    write_settings(site, tuning)
    return site


def task_python(layout: Layout, options: Options, account: Account | None) -> str:
    """Customers' accounts are strangers to our files just as PostgreSQL's is; without accounts tasks run as we do."""
    separate = options.agent and options.isolation != "directory"
    return interpreter.for_tasks(layout, options.python, account if separate else None)


def make_cluster(site: Site, *, durable: bool) -> None:
    """``initdb`` beside the final place, then a rename: a cluster is there whole or not at all."""
    staging = site.layout.root / "postgres.new"
    shutil.rmtree(staging, ignore_errors=True)
    files.make_directory(staging)
    password = staging / "password"
    files.write_private(password, site.secrets.value("db_superuser_password"))
    _hand_over(site, staging, password)
    cluster = staging / "cluster"
    arguments = postgres.initdb_arguments(site.postgres_bin, cluster, password, durable=durable)
    ended = processes.run_to_end(arguments, directory=staging, account=site.account, timeout_s=120)
    if ended.code != 0:
        raise DataDirError(
            f"PostgreSQL could not make its cluster in {staging}:\n{ended.output[-2000:].strip()}"
        )
    cluster.rename(site.layout.postgres)
    shutil.rmtree(staging)


def write_settings(site: Site, tuning: Tuning) -> None:
    """Write every service's settings for this run: they follow the ports."""
    _write_postgres(site, tuning)
    files.make_directory(site.layout.valkey)
    text = valkey.configuration(
        port=site.ports["valkey"],
        directory=site.layout.valkey,
        password=site.secrets.value("redis_password"),
        durable=tuning.durable,
        databases=tuning.valkey_databases,
    )
    files.write_private(site.valkey_configuration, text)
    _write_objects(site.object_files, site.secrets, site.ports)


def _write_postgres(site: Site, tuning: Tuning) -> None:
    options = postgres.PostgresOptions(
        port=site.ports["postgres"], durable=tuning.durable, max_connections=tuning.max_connections
    )
    texts = {"postgresql.conf": postgres.configuration(options), "pg_hba.conf": postgres.host_based_access()}
    for name, text in texts.items():
        path = site.layout.postgres / name
        files.write_private(path, text)
        _hand_over(site, path)


def _hand_over(site: Site, *paths: Path) -> None:
    """Give paths to PostgreSQL's account, where it is another one than ours."""
    if site.account:
        for path in paths:
            os.chown(path, site.account.uid, site.account.gid)


def _write_objects(place: objects.ObjectFiles, secrets: Secrets, chosen: Mapping[str, int]) -> None:
    """Certificates and token keys live for one run only: every part that uses them is in the one process."""
    for directory in (place.directory, place.data, place.configuration):
        files.make_directory(directory)
    issued = certificates.issue(utc_now())
    files.write_private(place.authority, issued.authority)
    files.write_private(place.certificate, issued.certificate)
    files.write_private(place.key, issued.key)
    files.write_private(place.security, objects.security(place, [new_secret("") for _ in range(4)]))
    keys = objects.identities(secrets.value("s3_access_key"), secrets.value("s3_secret_key"))
    files.write_private(place.identities, keys)
    text = objects.options(place, chosen, admin_password=secrets.value("object_admin_password"))
    files.write_private(place.options, text)
