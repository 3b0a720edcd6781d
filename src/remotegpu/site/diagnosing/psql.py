"""Questions to the site's database, read-only: fixed texts, values only as variables of psql."""

import json
from collections.abc import Mapping
from typing import Any

from remotegpu.site.bundle import topology
from remotegpu.site.commands.compose import Compose
from remotegpu.site.diagnosing.steps import Answer
from remotegpu.site.runner import Command

READ_ONLY = "-c default_transaction_read_only=on -c statement_timeout=10s -c lock_timeout=2s"


def ask(
    compose: Compose,
    query: str,
    variables: Mapping[str, str] | None = None,
    database: str = topology.DATABASE,
) -> Command:
    """Prints one JSON value. ``variables`` stand in ``query`` as ``:'name'``, which psql quotes."""
    given = tuple(part for name, value in (variables or {}).items() for part in ("--set", f"{name}={value}"))
    return compose.execute(
        "postgresql",
        *("env", f"PGOPTIONS={READ_ONLY}", "psql", "--username", "postgres", "--dbname", database),
        *("--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set", "ON_ERROR_STOP=1", *given),
        stdin=query.encode(),
        timeout_s=20,
    )


def value(answer: Answer) -> Any:  # Any: what the query builds
    """The JSON value; None when the database did not answer."""
    return read(answer.output) if answer.code == 0 else None


def read(output: str) -> Any:  # Any: same
    """From the output of an earlier step."""
    for line in output.splitlines():
        if line.startswith(("{", "[")):
            try:
                return json.loads(line)
            except ValueError:
                return None
    return None


SCHEMA = "SELECT jsonb_build_object('revision', (SELECT string_agg(version_num, ',') FROM alembic_version));"

CONNECTIONS = """
SELECT jsonb_build_object(
    'used', count(*) FILTER (WHERE backend_type = 'client backend'),
    'max', current_setting('max_connections')::int,
    'idle_in_transaction', count(*) FILTER (WHERE state LIKE 'idle in transaction%'),
    'longest_transaction_s', coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)
        FILTER (WHERE backend_type = 'client backend'))::int, 0))
FROM pg_stat_activity;
"""

BLOCKED = """
SELECT coalesce(jsonb_agg(jsonb_build_object(
    'pid', pid, 'user', usename, 'program', application_name, 'waits_for', pg_blocking_pids(pid),
    'seconds', extract(epoch FROM clock_timestamp() - query_start)::int) ORDER BY query_start), '[]')
FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0;
"""

DAMAGE = """
SELECT jsonb_build_object(
    'checksums', current_setting('data_checksums'),
    'failures', (SELECT sum(checksum_failures) FROM pg_stat_database),
    'last_failure', (SELECT max(checksum_last_failure) FROM pg_stat_database),
    'oldest_transactions', (SELECT max(age(datfrozenxid)) FROM pg_database),
    'in_recovery', pg_is_in_recovery());
"""

ARCHIVE = """
SELECT jsonb_build_object(
    'archived', archived_count, 'last_archived', last_archived_wal, 'last_archived_at', last_archived_time,
    'failed', failed_count, 'last_failed', last_failed_wal, 'last_failed_at', last_failed_time,
    'failing', last_failed_time IS NOT NULL AND (last_archived_time IS NULL OR last_failed_time > last_archived_time),
    'waiting', (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
    'wal_bytes', (SELECT coalesce(sum(size), 0) FROM pg_ls_waldir()))
FROM pg_stat_archiver;
"""

MACHINE = """
SELECT jsonb_build_object(
    'now', now(),
    'machine', (SELECT jsonb_build_object(
        'id', id, 'name', name, 'state', state, 'maintenance', maintenance, 'reachable', reachable,
        'reachability_since', reachability_since, 'last_seen_at', last_seen_at,
        'silent_s', extract(epoch FROM now() - last_seen_at)::int, 'clock_skew_s', clock_skew_s,
        'revision', revision, 'applied_revision', applied_revision, 'agent_version', agent_version,
        'protocol_version', protocol_version, 'boot_id', boot_id, 'simulated', simulated, 'isolation', isolation,
        'gpu_count', gpu_count, 'gpu_model', gpu_model, 'driver_version', driver_version, 'os', os,
        'rotation_requested', rotation_requested,
        'addresses', (SELECT jsonb_agg(split_part(address, '/', 1))
            FROM jsonb_array_elements(coalesce(inventory->'nics', '[]')) AS nic,
                 jsonb_array_elements_text(coalesce(nic->'addresses', '[]')) AS address))
        FROM machines WHERE name = :'node' OR id::text = :'node'),
    'names', (SELECT jsonb_agg(name) FROM (SELECT name FROM machines ORDER BY name LIMIT 50) AS known));
"""

MACHINES = """
SELECT jsonb_build_object(
    'all', count(*), 'unreachable', count(*) FILTER (WHERE NOT reachable),
    'lately', count(*) FILTER (WHERE NOT reachable AND reachability_since > now() - interval '30 minutes'))
FROM machines;
"""

TOKENS = """
SELECT jsonb_build_object(
    'tokens', count(*), 'valid', count(*) FILTER (WHERE expires_at IS NULL OR expires_at > now()),
    'newest', max(t.created_at), 'last_end', max(t.expires_at))
FROM node_tokens AS t JOIN machines AS m ON m.id = t.machine_id WHERE m.name = :'node' OR m.id::text = :'node';
"""

OPEN_WORK = """
SELECT jsonb_build_object(
    'attempts', (SELECT coalesce(jsonb_agg(jsonb_build_object('task', a.task_id, 'state', a.state,
        'assigned_at', a.assigned_at, 'lease_expires_at', a.lease_expires_at,
        'lease_is_over', a.lease_expires_at < now())), '[]')
        FROM attempts AS a WHERE a.machine_id = m.id AND a.state IN ('assigned', 'running')),
    'allocations', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', l.id, 'state', l.state, 'ends_at', l.ends_at,
        'failed_steps', (SELECT jsonb_agg(jsonb_build_object('name', s.name, 'detail', s.detail))
            FROM reclaim_steps AS s WHERE s.allocation_id = l.id AND s.status = 'failed'))), '[]')
        FROM allocations AS l WHERE l.machine_id = m.id AND l.state IN ('active', 'expiring', 'reclaiming')),
    'acts', (SELECT coalesce(jsonb_agg(jsonb_build_object('at', at, 'actor', actor_name, 'action', action,
        'outcome', outcome)), '[]')
        FROM (SELECT * FROM audit_logs WHERE resource_id = m.id::text ORDER BY id DESC LIMIT 20) AS recent))
FROM machines AS m WHERE m.name = :'node' OR m.id::text = :'node';
"""
