"""The schedule of a site whose database is gone: a robot hears of it once, over restarts, and again when it works."""

import json
from pathlib import Path

import pytest

import far_sides
from far_sides import KEY, Authority, Other
from remotegpu.site.backups import outbox, schedule
from remotegpu.site.backups.due import ATTEMPTS
from remotegpu.site.backups.settings import Settings, load


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return far_sides.authority(tmp_path_factory.mktemp("authority"))


def site(folder: Path, robot: Other, trust: Authority) -> Settings:
    for name in ("backups", "scratch", "socket"):
        (folder / name).mkdir()
    (folder / "url").write_text(robot.url(f"/cgi-bin/webhook/send?key={KEY}"))
    channel = {"kind": "wecom", "name": "ops", "url_file": f"{folder}/url", "ca_file": str(trust.ca)}
    return load(
        {
            "SITE_NAME": "acme",
            "BACKUP_DIR": f"{folder}/backups",
            "SCRATCH_DIR": f"{folder}/scratch",
            "PGHOST": f"{folder}/socket",
            "ALERT_CHANNELS": json.dumps([channel]),
            "ALERT_LANGUAGE": "zh",
            "PUBLIC_URL": "https://gpu.example.com",
        }
    )


def one_turn(settings: Settings) -> None:
    """What is waited for is due now, and the program begins anew."""
    path = settings.backup_dir / schedule.STATE
    if path.exists():
        progress = json.loads(path.read_bytes())
        progress["daily"]["not_before"] = "2026-01-01T00:00:00Z"
        progress["daily"]["handled"] = None
        path.write_text(json.dumps(progress))
    schedule.run(settings, once=True)


def texts(robot: Other) -> list[str]:
    return [got.json["markdown"]["content"] for got in robot.taken]


def test_a_robot_hears_once_that_the_daily_backup_fails_and_once_that_it_works(
    tmp_path: Path, trust: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with far_sides.running(far_sides.wecom, trust) as robot:
        settings = site(tmp_path, robot, trust)
        for _ in range(ATTEMPTS - 1):
            one_turn(settings)
        assert robot.asked == 0
        one_turn(settings)
        (told,) = texts(robot)
        assert "[acme] 数据库每日备份失败" in told
        assert f"失败 {ATTEMPTS} 次" in told
        assert "remotegpu site backup" in told
        assert "https://gpu.example.com" in told
        for _ in range(ATTEMPTS):
            one_turn(settings)
        assert robot.asked == 1
        monkeypatch.setitem(schedule.WORK, "daily", lambda _settings: None)  # the database is back
        one_turn(settings)
        one_turn(settings)
        assert robot.asked == 2
        assert "数据库每日备份已恢复正常" in texts(robot)[1]


def test_what_a_robot_refuses_is_sent_when_it_takes_it_again(
    tmp_path: Path, trust: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FIRST_RETRY", outbox.FIRST_RETRY * 0)
    busy = far_sides.always(200, b'{"errcode": 45009, "errmsg": "api freq out of limit"}')
    with far_sides.running(busy, trust) as robot:
        settings = site(tmp_path, robot, trust)

        def judged_from_the_third_on(other: Other, got: far_sides.Got) -> far_sides.Answer:
            return far_sides.wecom(other, got) if other.asked > 2 else busy(other, got)

        robot.judge = judged_from_the_third_on
        for _ in range(ATTEMPTS):
            one_turn(settings)
        assert robot.asked == 3
        assert len(robot.taken) == 1
    told = outbox.read(settings.backup_dir).channels["ops"]
    assert (told.sent, told.failed, told.error) == (1, 2, "")
    kept = (settings.backup_dir / outbox.STATE).read_text()
    assert KEY not in kept
