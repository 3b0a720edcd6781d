"""The channels of ``remotegpu.yaml``: what is wrong with them, and what of them reaches whom."""

import json
from pathlib import Path

import msgspec
import pytest

from remotegpu.kit.certificates import Pair
from remotegpu.kit.channels import models
from remotegpu.site import secret_copies, secrets
from remotegpu.site.bundle import environment
from remotegpu.site.config import annotated, channels, loading
from remotegpu.site.config.model import Config
from remotegpu.site.config.problems import ConfigError
from remotegpu.site.config.texts import LANGUAGES, Language

HEAD = "site: {name: acme, domain: gpu.example.com}\nrelease: {version: v1.0.0}\nalerts:\n"
EVERY_KIND = """\
  language: en
  channels:
    - {kind: wecom, name: ops, url_file: FOLDER/ops}
    - {kind: dingtalk, name: night, url_file: FOLDER/night, secret_file: FOLDER/night.secret}
    - {kind: feishu, name: boss, url_file: FOLDER/boss, ca_file: FOLDER/ca}
    - {kind: webhook, name: own, url_file: FOLDER/own, secret_file: FOLDER/own.secret}
    - kind: email
      name: mail
      host: smtp.example.com
      user: alerts
      password_file: FOLDER/password
      sender: gpu@example.com
      recipients: [a@example.com]
"""


def every_kind(folder: Path) -> Config:
    return loading.parse(HEAD + EVERY_KIND.replace("FOLDER", str(folder)))


def problems(alerts: str) -> list[tuple[int | None, str]]:
    with pytest.raises(ConfigError) as caught:
        loading.parse(HEAD + alerts)
    assert all(problem.found and problem.expected and problem.remedy for problem in caught.value.problems)
    return [(problem.line, problem.key) for problem in caught.value.problems]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_is_written_and_read_again(language: Language, tmp_path: Path) -> None:
    config = every_kind(tmp_path)
    assert loading.parse(annotated.to_yaml(config, language)) == config


def test_a_channel_s_problems_stand_with_their_line() -> None:
    assert problems("""\
  channels:
    - {kind: wecom, name: Ops, url_file: relative}
    - {kind: wecom, name: b, url_file: /u, secret_file: /s}
    - {kind: slack, name: c}
    - {name: d}
    - {kind: webhook, name: e, url_file: /u}
    - {kind: email, name: f, host: smtp, sender: nobody, recipients: []}
""") == [
        (5, "alerts.channels[0].name"),
        (5, "alerts.channels[0].url_file"),
        (6, "alerts.channels[1].secret_file"),
        (7, "alerts.channels[2].kind"),
        (8, "alerts.channels[3].kind"),
        (9, "alerts.channels[4].secret_file"),
        (10, "alerts.channels[5].recipients"),
        (10, "alerts.channels[5].sender"),
    ]


def test_a_url_that_stands_where_its_file_should_is_not_repeated() -> None:
    url = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6"
    with pytest.raises(ConfigError) as caught:
        loading.parse(f"{HEAD}  channels: [{{kind: wecom, name: ops, url_file: '{url}'}}]\n")
    assert "693a91f6" not in str(caught.value)
    assert "an absolute path of a file" in str(caught.value)


def test_channels_that_contradict_each_other_or_themselves() -> None:
    assert problems("""\
  channels:
    - {kind: wecom, name: ops, url_file: /a}
    - {kind: feishu, name: ops, url_file: /b}
    - {kind: email, name: x, host: h, sender: a@b, recipients: [c@d], user: u}
    - {kind: email, name: y, host: h, sender: a@b, recipients: [c@d], password_file: /p}
""") == [
        (6, "alerts.channels[1].name"),
        (7, "alerts.channels[2].password_file"),
        (8, "alerts.channels[3].user"),
    ]


def test_whoever_sends_gets_every_field_of_every_kind(tmp_path: Path) -> None:
    config = every_kind(tmp_path)
    for entry, channel in zip(config.alerts.channels, channels.on_node(config), strict=True):
        assert json.loads(msgspec.json.encode(channel)) == json.loads(msgspec.json.encode(entry))
    kinds = {models.kind_of(channel) for channel in channels.on_node(config)}
    assert kinds == {"wecom", "dingtalk", "feishu", "webhook", "email"}


def test_the_backup_container_gets_the_secrets_as_files_and_the_rest_without_them(tmp_path: Path) -> None:
    config = every_kind(tmp_path)
    files = dict(channels.copies(config))
    for name, path in files.items():
        Path(path).write_text(f"SECRET OF {name}\n")
    secrets.ensure(tmp_path)
    copies = secret_copies.decide(config, lambda name: secrets.read(tmp_path, name), "CA", Pair("C", "K"))
    assert {name: copies["backup"][name] for name in files} == {name: f"SECRET OF {name}" for name in files}
    assert "channel_night_secret" in files
    assert not any(
        "channel_" in name for service in copies if service != "backup" for name in copies[service]
    )
    found = environment.backup(config)
    assert "SECRET OF" not in str(found)
    assert str(tmp_path) not in str(found)
    sent = msgspec.json.decode(found["ALERT_CHANNELS"], type=list[models.Channel])
    assert sent == channels.in_container(config, "/run/secrets")
    named = {
        getattr(channel, field)
        for channel in sent
        for field in channel.__struct_fields__
        if field.endswith("_file")
    }
    assert named - {""} == {f"/run/secrets/{name}" for name in files}


def test_a_site_without_channels_says_nothing_of_them() -> None:
    plain = loading.parse(HEAD.replace("alerts:\n", ""))
    assert not any(name.startswith("ALERT") for name in environment.backup(plain))
    assert list(channels.copies(plain)) == []
