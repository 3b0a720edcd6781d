"""Compose hands values on as they were rendered: quotes, brackets and dollar signs included."""

import json
from pathlib import Path

from remotegpu.site.bundle import environment, writing
from remotegpu.site.bundle.render import render
from remotegpu.site.config import loading
from stack.engine import Engine

SITE = """\
site: {name: acme, domain: gpu.example.com}
release: {version: v1.0.0}
alerts:
  channels:
    - {kind: wecom, name: ops, url_file: /etc/wecom.url}
    - {kind: email, name: mail, host: s, sender: a@b.c, recipients: [d@e.f], user: "$HOME", password_file: /p}
"""


def test_the_list_of_alert_channels_arrives_whole(engine: Engine, tmp_path: Path) -> None:
    config = loading.parse(SITE)
    writing.write(tmp_path, render(config))
    file = tmp_path / "docker-compose.prod.yml"
    shown = engine.docker("compose", "--file", str(file), "config", "--format=json").stdout
    given = json.loads(shown)["services"]["backup"]["environment"]["ALERT_CHANNELS"]
    given = given.replace("$$", "$")  # so it writes one dollar sign in what could be read by it again
    assert json.loads(given) == json.loads(environment.backup(config)["ALERT_CHANNELS"])
    assert "$HOME" in given
