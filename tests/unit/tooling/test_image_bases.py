"""What our images stand on is what the manifest of versions says, and they listen where the site looks for them."""

import re

import pytest
from suites import ROOT

from remotegpu.site.bundle import topology
from remotegpu.site.config.versions import manifest

IMAGES = ROOT / "deploy/images"


def bases(name: str) -> dict[str, str]:
    """The default of each ``ARG …_IMAGE``."""
    text = (IMAGES / f"{name}.Dockerfile").read_text(encoding="utf-8")
    return dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", text, re.MULTILINE))


def test_nginx_and_postgresql_are_the_manifests() -> None:
    assert bases("frontend")["NGINX_IMAGE"] == manifest()["nginx"].reference.partition("@")[0]
    postgresql = manifest()["postgresql"]
    assert bases("postgresql")["POSTGRES_IMAGE"] == f"{postgresql.image}:{postgresql.tag}-trixie"


def test_all_images_are_made_by_the_same_python() -> None:
    assert bases("backend")["PYTHON_IMAGE"] == bases("postgresql")["PYTHON_IMAGE"]


@pytest.mark.parametrize(
    ("name", "port"), [("backend", topology.BACKEND_PORT), ("frontend", topology.FRONTEND_PORT)]
)
def test_a_program_listens_where_nginx_looks_for_it(name: str, port: int) -> None:
    """The plan's frontend was on 3000, and on 80 in its own Dockerfile."""
    assert f"EXPOSE {port}\n" in (IMAGES / f"{name}.Dockerfile").read_text(encoding="utf-8")
    if name == "frontend":
        assert f"listen {port}" in (IMAGES / "frontend.nginx.conf").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["backend", "frontend", "postgresql"])
def test_nobody_in_it_is_root_and_it_is_labelled(name: str) -> None:
    text = (IMAGES / f"{name}.Dockerfile").read_text(encoding="utf-8")
    user = topology.UIDS[
        "postgresql" if name == "postgresql" else "frontend" if name == "frontend" else "backend"
    ]
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == f"{user}:{user}"
    assert 'org.opencontainers.image.version="${VERSION}"' in text
    assert 'org.opencontainers.image.revision="${REVISION}"' in text
