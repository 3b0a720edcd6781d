"""``site init``: writes an annotated ``remotegpu.yaml`` and random secrets to begin with. It never writes over any."""

from pathlib import Path

from remotegpu.site import secrets
from remotegpu.site.config import annotated, loading
from remotegpu.site.config.model import Alerts, Config, Release, Site
from remotegpu.site.config.problems import ConfigError, ConfigProblem
from remotegpu.site.config.texts import Language

NOT_FOR_GIT = """\
# Written by `remotegpu site init`: secrets, data and what belongs to one node.
/{secrets}/
/backups/
/scratch/
/logs/
/releases/
/nginx/ssl/
/nginx/upstreams/
/nginx/acme/
/.env
/journal.jsonl
"""


def init(path: Path, *, name: str, domain: str, version: str, language: Language) -> Config:
    """The new site's configuration, written to ``path``, with its secrets beside it.

    Raises :class:`ConfigError`; nothing is written then.
    """
    if path.exists():
        remedy = "Change it with an editor, or name another file with --config."
        raise ConfigError(str(path), [ConfigProblem("file", "one already", "no file yet", remedy)])
    wanted = Config(
        site=Site(name=name, domain=domain),
        release=Release(version=version),
        alerts=Alerts(language=language),
    )
    text = annotated.to_yaml(wanted, language)
    config = loading.parse(text, "what was given")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as stream:
        stream.write(text)
    secrets.ensure(path.parent)
    _keep_from_git(path.parent / ".gitignore")
    return config


def _keep_from_git(path: Path) -> None:
    """Whoever keeps the site's file in a repository keeps nothing else there by accident."""
    if not path.exists():
        path.write_text(NOT_FOR_GIT.format(secrets=secrets.DIRECTORY), encoding="utf-8")
