"""``deploy/example/``: what `site init` and `site render` write for a site called example. It has no secrets."""

from __future__ import annotations

from reference.marks import header
from remotegpu.site.bundle import compose
from remotegpu.site.bundle.render import BundleFile, render, upstreams
from remotegpu.site.config import annotated
from remotegpu.site.config.model import Alerts, Config, Release, Site

FOLDER = "deploy/example"
SITE = Config(
    site=Site(name="example", domain="gpu.example.com"),
    release=Release(version="v1.0.0"),
    alerts=Alerts(language="en"),
)
DEPLOYED = "executed: `site deploy` runs it on a real Docker engine"
VERIFIED = {
    "remotegpu.yaml": "parsed: `site check` reads it whole; unit tests write and read it back",
    compose.FILE_NAME: f"{DEPLOYED}, after `docker compose config`; 17 checks of the CIS Docker Benchmark",
    ".env.backend": f"{DEPLOYED}; server, worker and migrations start with it",
    ".env.db": f"{DEPLOYED}; PostgreSQL makes its cluster with it",
    ".env.redis": DEPLOYED,
    ".env.backup": f"{DEPLOYED}; the backup container starts with it",
    "nginx/nginx.conf": f"{DEPLOYED}, after `nginx -t`. With nginx 1.26: `keepalive_min_timeout` needs 1.27.4 or newer "
    "and was not run",
    "nginx/conf.d/site.conf": f"{DEPLOYED}, after `nginx -t`",
    "nginx/proxy.conf": f"{DEPLOYED}, after `nginx -t`",
    "nginx/streaming.conf": f"{DEPLOYED}, after `nginx -t`",
    "nginx/upstreams/active.conf": f"{DEPLOYED}, after `nginx -t`, at each switch",
    "nginx/upstreams/candidate.conf": f"{DEPLOYED}, after `nginx -t`, at each switch",
    "postgresql/postgresql.conf": f"{DEPLOYED}; PostgreSQL 17 starts with it and archives WAL",
    "postgresql/pg_hba.conf": f"{DEPLOYED}; each program signs in through it",
    "postgresql/pgbackrest.conf": f"{DEPLOYED}; pgBackRest backs up and restores with it, without a second repository",
    "redis/redis.conf": f"{DEPLOYED}. With Redis 8.0",
    "prometheus/prometheus.yml": "parsed: `promtool check config`. No Prometheus runs in a site yet",
    "scripts/deploy.sh": "executed: in tests of what it hands on; the command behind it as `remotegpu site`",
    "scripts/rollback.sh": "executed: in tests of what it hands on; the command behind it as `remotegpu site`",
    "scripts/backup-db.sh": "executed: in tests of what it hands on; the command behind it as `remotegpu site`",
    "scripts/restore-db.sh": "executed: in tests of what it hands on; the command behind it as `remotegpu site`",
}
"""By path; a file without a row, or a row without a file, stops the page."""
INTRODUCTION = """\
# A site as it is rendered

This is what two commands write for a site called `example`:

```sh
remotegpu site init --name example --domain gpu.example.com --version v1.0.0
remotegpu site render
```

On a management node it lies in `/opt/remotegpu`. `remotegpu.yaml` is the only file that anybody edits; all others
follow from it, byte for byte. Not here, because they are secret or belong to one node: `secrets/`, `nginx/ssl/`,
`backups/`, `releases/`, `logs/`, `.env` with the images that run, `journal.jsonl`. The two files in `nginx/upstreams/`
are written by a deployment; they are as they are after the first one.

`make docs` writes this folder, and `make test` fails when it differs from the code.
[How a site is built](../../docs/concepts/site.md) says why each part is as it is.

## How each file was verified

*executed*: programs ran with it in containers. *parsed*: the program that reads it accepted it. *golden*: only this
copy was compared. Executed was the same site under another name and on other ports. The images under the containers
were stand-ins from Debian 13 packages: no registry could be reached.

"""


def files() -> dict[str, BundleFile]:
    """Path in the repository -> file."""
    found = {"remotegpu.yaml": BundleFile(annotated.to_yaml(SITE, "en"))} | render(SITE)
    found |= {path: BundleFile(text) for path, text in upstreams(SITE, "blue", "blue").items()}
    page = BundleFile(readme(set(found)))
    return {f"{FOLDER}/{path}": file for path, file in sorted({**found, "README.md": page}.items())}


def readme(paths: set[str]) -> str:
    if paths != set(VERIFIED):
        raise SystemExit(
            f"docs: the example has {sorted(paths - set(VERIFIED)) or 'nothing'} that {__file__} does not know, and "
            f"lacks {sorted(set(VERIFIED) - paths) or 'nothing'} that it describes; do next: edit it"
        )
    rows = "".join(f"| [`{path}`]({path}) | {VERIFIED[path]} |\n" for path in sorted(paths))
    return header("`scripts/reference/example.py`") + INTRODUCTION + "| file | verified |\n|---|---|\n" + rows
