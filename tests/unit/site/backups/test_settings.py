"""The environment of the ``backup`` container, validated whole."""

from datetime import UTC, time
from pathlib import Path

import pytest

from remotegpu.kit.environment import SettingsError
from remotegpu.site.backups.settings import load


def test_a_bare_environment_is_the_plan_s_schedule() -> None:
    found = load({})
    assert (found.daily_at, found.objects_at, found.drill_at) == (time(2), time(3), time(4))
    assert (found.keep_days, found.wal_days, found.zone) == (30, 7, UTC)
    assert found.redis is None
    assert found.objects is None


def test_secrets_come_from_files_and_do_not_show(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    found = load({"REDIS_ADDR": "redis:6379", "REDIS_PASSWORD_FILE": str(tmp_path / "password")})
    assert found.redis is not None
    assert (found.redis.host, found.redis.port, found.redis.password) == ("redis", 6379, "hunter2")
    assert "hunter2" not in repr(found)


def test_every_problem_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            {
                "BACKUP_DAILY_AT": "25:00",
                "TZ": "Mars/Olympus",
                "BACKUP_KEEP_DAYS": "0",
                "DB_NAME": "Robert'); --",
                "REDIS_ADDR": "redis",
                "S3_ENDPOINT": "rustfs:9000",
                "METRICS_PORT": "0",
                "OFFSITE_S3_ENDPOINT": "https://s3.example.com",
            }
        )
    said = str(caught.value)
    for key in (
        "BACKUP_DAILY_AT",
        "TZ",
        "BACKUP_KEEP_DAYS",
        "DB_NAME",
        "REDIS_ADDR",
        "REDIS_PASSWORD",
        "S3_ENDPOINT",
        "S3_BUCKET",
        "S3_ACCESS_KEY",
        "S3_SECRET_KEY",
        "METRICS_PORT",
        "OFFSITE_S3_BUCKET",
        "OFFSITE_AGE_RECIPIENT",
    ):
        assert f"- {key}: " in said


def test_channels_come_whole_and_without_their_secrets() -> None:
    found = load(
        {"ALERT_CHANNELS": '[{"kind":"wecom","name":"ops","url_file":"/run/secrets/channel_ops_url"}]'}
    )
    assert [channel.name for channel in found.alerts.channels] == ["ops"]
    assert found.alerts.language == "zh"
    for wrong in ('[{"kind":"slack"}]', "no json", '[{"kind":"wecom","name":"ops"}]'):
        with pytest.raises(SettingsError, match="ALERT_CHANNELS: found what is no list of channels"):
            load({"ALERT_CHANNELS": wrong, "ALERT_LANGUAGE": "en"})
    with pytest.raises(SettingsError, match="ALERT_LANGUAGE: found 'de', expected one of en, zh"):
        load({"ALERT_LANGUAGE": "de"})
