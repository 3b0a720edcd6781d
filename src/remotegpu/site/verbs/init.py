"""``site init``: writes an annotated ``remotegpu.yaml`` and random secrets to begin with. It never writes over any."""

from pathlib import Path

from remotegpu.site import secrets
from remotegpu.site.config import annotated, loading
from remotegpu.site.config.model import Alerts, Config, Release, Site
from remotegpu.site.config.problems import ConfigError, ConfigProblem
from remotegpu.site.config.texts import Language


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
    return config
