"""``remotegpu.yaml``: everything that is wrong at once, with its line; what is written is read again."""

import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from remotegpu.site.config import annotated, loading
from remotegpu.site.config.model import S3, Backup, Components, Config, Limits, Network, Release, Site, Tls
from remotegpu.site.config.problems import ConfigError
from remotegpu.site.config.texts import LANGUAGES, Language
from remotegpu.site.verbs.init import init

SITE = "site: {name: acme, domain: gpu.example.com}\nrelease: {version: v1.0.0}\n"
ELSEWHERE = "components: {rustfs: false}\nobject_store:"
PLAIN = Config(site=Site(name="acme", domain="gpu.example.com"), release=Release(version="main-0a1b2c3d"))
OTHER = S3(endpoint="https://s3", bucket="data", access_key_file="/run/key", secret_key_file="/run/secret")
FULL = Config(
    site=Site(name="acme", domain="gpu.example.com", directory="/srv/remote gpu"),
    release=Release(version="v2.10.0-rc.1", registry="registry.example.com/remotegpu", keep=9),
    components=Components(rustfs=False),
    object_store=OTHER,
    tls=Tls(mode="files", certificate="/etc/ssl/site.pem", key="/etc/ssl/site.key"),
    network=Network(internal_address="10.0.0.5", expose=["postgresql", "redis"]),
    backup=Backup(
        offsite=OTHER, age_recipients=["age1jy8gkv5y8jrckhndqph3pdtpajgyft4rearmzszzvljl228mkd9suznjx8"]
    ),
    limits={"backend": Limits(cpus=2.5, memory="4g"), "redis": Limits(pids=512)},
    images={"nginx": "nginx:1.30.4"},
)


def problems(text: str) -> list[tuple[int | None, str]]:
    """(line, key) of each."""
    with pytest.raises(ConfigError) as caught:
        loading.parse(text)
    assert all(problem.found and problem.expected and problem.remedy for problem in caught.value.problems)
    return [(problem.line, problem.key) for problem in caught.value.problems]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("config", [PLAIN, FULL], ids=["plain", "full"])
def test_what_is_written_is_read_again(config: Config, language: Language) -> None:
    text = annotated.to_yaml(config, language)
    assert loading.parse(text) == config
    assert annotated.to_yaml(loading.parse(text), language) == text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_key_is_explained_in_both_languages(language: Language) -> None:
    rows = [line.split("|") for line in annotated.reference(language).splitlines()[2:]]
    assert len(rows) > 40
    for row in rows:
        assert row[2].strip(), row[1]
        assert (re.search(r"[\u4e00-\u9fff]", row[2]) is not None) == (language == "zh"), row[1]


def test_every_wrong_field_is_named_with_its_line() -> None:
    text = """\
site:
  name: A
  domian: x
release: {version: latest}
limits:
  nginx: {memory: lots}
  mysql: {cpus: 1}
network:
  http_port: 99999
  expose: [mysql]
"""
    assert problems(text) == [
        (1, "site.domain"),
        (2, "site.name"),
        (3, "site.domian"),
        (4, "release.version"),
        (6, "limits.nginx.memory"),
        (7, "limits.mysql"),
        (9, "network.http_port"),
        (10, "network.expose[0]"),
    ]


def test_a_wrong_field_hides_no_contradiction_elsewhere() -> None:
    text = """\
site: {name: A, domain: gpu.example.com, timezone: Nowhere/Nohow}
release: {version: latest}
tls: {mode: files}
backup: {keep_days: 3, wal_days: 7}
network: {http_port: 443, requests_per_second: 0}
images: {nginx: nginx}
"""
    assert problems(text) == [
        (1, "site.name"),  # its time zone is looked at once the section can be read
        (2, "release.version"),
        (3, "tls.certificate"),
        (3, "tls.key"),
        (4, "backup.wal_days"),
        (5, "network.requests_per_second"),
        (6, "images.nginx"),
    ]


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ('  registry: "https://registry.example.com"\n', "release.registry"),
        ('  registry: "r.example.com}/x"\n', "release.registry"),
        ('  registry: "r.example.com\\nX=1"\n', "release.registry"),
        ('images: {redis: "redis:8.4.6}${X"}\n', "images.redis"),
        ('images: {redis: "redis:8.4.6\\nX"}\n', "images.redis"),
        (
            f'{ELSEWHERE} {{endpoint: https://s3, access_key_file: /a, secret_key_file: /b, bucket: "a\\nb"}}\n',
            "object_store.bucket",
        ),
    ],
)
def test_what_would_break_out_of_a_rendered_line_is_refused(more: str, found: str) -> None:
    text = f"site: {{name: acme, domain: gpu.example.com}}\nrelease:\n  version: v1.0.0\n{more}"
    assert [key for _, key in problems(text)] == [found]


def test_registries_are_named_as_docker_names_them() -> None:
    for registry in ("registry.example.com/remotegpu", "10.0.0.5:5000", "r.example.com/a/b/", ""):
        head = "site: {name: acme, domain: gpu.example.com}\n"
        text = f'{head}release: {{version: v1.0.0, registry: "{registry}"}}\n'
        assert loading.parse(text).release.registry == registry


def test_however_many_problems_there_are_all_are_said() -> None:
    unknown = "".join(f"unknown_{number}: 1\n" for number in range(50))
    assert len(problems(SITE + unknown)) == 50


def test_a_near_miss_is_guessed() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean domain\?"):
        loading.parse("site: {name: acme, domian: gpu.example.com}\nrelease: {version: v1.0.0}\n")


@pytest.mark.parametrize("version", ["latest", "main", "v1", "1.0.0", "v1.0.0 ", "main-xyz", "v1.0.0\n"])
def test_only_a_fixed_release_can_run(version: str) -> None:
    written = msgspec.json.encode(version).decode()
    head = "site: {name: acme, domain: gpu.example.com}\n"
    assert problems(f"{head}release:\n  version: {written}\n") == [(3, "release.version")]


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("components:\n  rustfs: false\n", [(None, "object_store")]),
        (
            "object_store:\n  endpoint: https://s3\n  bucket: data\n  access_key_file: /a\n  secret_key_file: /b\n",
            [(3, "object_store")],
        ),
        ("tls:\n  mode: files\n", [(3, "tls.certificate"), (3, "tls.key")]),
        ("tls:\n  mode: local-ca\n  key: /etc/key\n", [(5, "tls.key")]),
        ("network:\n  http_port: 443\n", [(3, "network.https_port")]),
        ("network:\n  expose: [redis]\n", [(3, "network.internal_address")]),
        ("network:\n  internal_address: 8.8.8.8\n", [(4, "network.internal_address")]),
        ("network:\n  internal_address: 0.0.0.0\n", [(4, "network.internal_address")]),
        ("network:\n  internal_address: 999.0.0.1\n", [(4, "network.internal_address")]),
        (
            "network:\n  internal_address: 10.0.0.1\n  expose: [redis, redis]\n",
            [(5, "network.expose")],
        ),
        ("backup:\n  keep_days: 3\n  wal_days: 7\n", [(5, "backup.wal_days")]),
        ("images:\n  ngnix: nginx:1.30.4\n", [(4, "images.ngnix")]),
        ("images:\n  nginx: nginx\n  redis: redis:latest\n", [(4, "images.nginx"), (5, "images.redis")]),
    ],
)
def test_contradictions_are_found(more: str, found: list[tuple[int | None, str]]) -> None:
    assert problems(SITE + more) == found


@pytest.mark.parametrize(
    ("text", "line"),
    [("", None), ("- a\n- b\n", None), ("just words\n", None), ("a: [\n", 2), ("site:\n  a: 1\n  a: 2\n", 3)],
)
def test_what_is_no_such_file_is_said_so(text: str, line: int | None) -> None:
    found = problems(text)
    assert [key for _, key in found] == ["file"]
    if line is not None:
        assert found[0][0] is not None


def test_an_absent_or_unreadable_file_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path, said in [
        (tmp_path / "absent", "site init"),
        (tmp_path / "binary", "UTF-8"),
        (tmp_path, "directory"),
    ]:
        with pytest.raises(ConfigError, match=said):
            loading.load(path)


def test_init_writes_once_and_only_what_is_right(tmp_path: Path) -> None:
    path = tmp_path / "sites" / "remotegpu.yaml"
    with pytest.raises(ConfigError, match=r"site\.domain"):
        init(path, name="acme", domain="not a domain", version="v1.0.0", language="en")
    assert not path.exists()
    config = init(path, name="acme", domain="gpu.example.com", version="v1.0.0", language="zh")
    assert loading.load(path) == config
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="one already"):
        init(path, name="other", domain="gpu.example.com", version="v1.0.0", language="zh")
    assert path.read_bytes() == before


def test_a_repository_around_the_site_takes_in_its_file_and_no_secret(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    init(tmp_path / "remotegpu.yaml", name="acme", domain="gpu.example.com", version="v1.0.0", language="en")
    assert list((tmp_path / "secrets").iterdir())
    git("add", "--all")
    assert set(git("ls-files").split()) == {".gitignore", "remotegpu.yaml"}


def test_init_leaves_a_gitignore_that_is_there(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    init(tmp_path / "remotegpu.yaml", name="acme", domain="gpu.example.com", version="v1.0.0", language="en")
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_the_schema_knows_every_section() -> None:
    schema = msgspec.json.decode(annotated.json_schema())
    assert {"Site", "Release", "Tls", "Network", "Backup", "Limits", "S3"} <= schema["$defs"].keys()
