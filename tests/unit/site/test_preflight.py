"""What a look before a deployment finds, without Docker: ports that somebody has, files that are not there."""

import socket
from pathlib import Path

from remotegpu.site.bundle import compose
from remotegpu.site.bundle.render import render
from remotegpu.site.config.model import Config, Network, Release, Site, Tls
from remotegpu.site.deploying import decisions, preflight
from remotegpu.site.deploying.deployment import Deployment, Plan, SchemaPlan
from remotegpu.site.place import Place


def config(folder: Path, **parts: object) -> Config:
    site = Site(name="acme", domain="gpu.example.com", directory=str(folder))
    return Config(**{"site": site, "release": Release(version="v1.0.0")} | parts)  # type: ignore[arg-type]


def deployment(found: Config, restores: str = "") -> Deployment:
    plan = Plan(
        id="1", version="v1.0.0", slot="blue", previous="", images={}, image_ids={}, by="", restores=restores
    )
    place = Place(found, Path(found.site.directory) / "remotegpu.yaml")
    return Deployment(place, plan, render(found), lambda _step, _said: None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ports(found: Config) -> list[tuple[str, str, str]]:
    return [(one.name, one.level, one.found) for one in preflight.look_at_ports(deployment(found))]


def test_a_port_that_somebody_has_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        taken, free = other.getsockname()[1], free_port()
        assert ports(config(tmp_path, network=Network(http_port=free, https_port=taken))) == [
            (f"port {free}", "ok", "free"),
            (f"port {taken}", "problem", "Address already in use"),
        ]


def test_an_internal_address_that_the_node_has_not_is_named(tmp_path: Path) -> None:
    for address in ("10.255.255.254", "fd00::dead"):
        network = Network(
            http_port=free_port(), https_port=free_port(), internal_address=address, expose=["redis"]
        )
        *_, last = preflight.look_at_ports(deployment(config(tmp_path, network=network)))
        assert (last.name, last.level) == ("port 6379", "problem")
        assert last.found.endswith(f" at {address}")
        assert "network.internal_address" in last.remedy


def test_only_what_is_published_anew_is_asked_for(tmp_path: Path) -> None:
    before = compose.text(config(tmp_path))
    network = Network(https_port=8443, internal_address="fd00::5", expose=["postgresql"])
    after = compose.text(config(tmp_path, network=network))
    assert decisions.new_ports("", before) == [("0.0.0.0", 80), ("0.0.0.0", 443)]
    assert decisions.new_ports(before, before) == []
    assert decisions.new_ports(before, after) == [("0.0.0.0", 8443), ("fd00::5", 5432)]


def test_a_missing_file_stops_a_new_release_and_not_the_way_back(tmp_path: Path) -> None:
    absent = config(tmp_path, tls=Tls(mode="files", certificate="/absent.pem", key="/absent.key"))
    new = list(preflight.look_at_files(deployment(absent)))
    assert [(one.level, one.found.split(":")[0]) for one in new] == [
        ("problem", "tls.certificate"),
        ("problem", "tls.key"),
    ]
    assert {one.level for one in preflight.look_at_files(deployment(absent, restores="x"))} == {"warning"}


def test_the_way_of_the_schema_is_said_and_where_there_is_no_way_back() -> None:
    def found(*pending: str, contracting: tuple[str, ...] = ()) -> tuple[str, str, str]:
        ahead = SchemaPlan("0003_pre_ledger", pending, pending, (), contracting)
        finding = preflight.schema_path(ahead, "v1.0.0")
        return finding.level, finding.found, finding.remedy

    assert found() == ("ok", "0003_pre_ledger, nothing is pending", "")
    assert found("0004_pre_notes") == ("ok", "0003_pre_ledger, then 0004_pre_notes", "")
    level, said, remedy = found("0004_pre_notes", "0005_post_notes", contracting=("0005_post_notes",))
    assert (level, said) == ("warning", "0003_pre_ledger, then 0004_pre_notes, 0005_post_notes")
    assert "0005_post_notes takes away what v1.0.0 needs" in remedy
