"""The manifest names fixed versions, and a reason wherever it leaves the plan."""

import json

import pytest

from remotegpu.cli.main import run
from remotegpu.site.config import versions
from remotegpu.site.config.versions import image_of, is_fixed, manifest


def test_every_component_has_a_fixed_version_and_a_source() -> None:
    for name, component in manifest().items():
        assert is_fixed(component.reference), name
        assert component.source.startswith("https://"), name
        assert component.reason or component.reference == component.plan, (
            f"{name} says not why it left the plan"
        )


@pytest.mark.parametrize(
    ("reference", "fixed"),
    [
        ("nginx:1.30.4", True),
        ("registry.example.com:5000/nginx:1.30.4", True),
        ("registry.example.com:5000/nginx", False),
        ("nginx", False),
        ("nginx:latest", False),
        ("nginx:stable-alpine", False),
        ("postgres:17", False),
        ("redis:8-alpine", False),
        ("postgres:17.12", True),
        ("rustfs/rustfs:1.0.0-rc.3", True),
        ("rustfs/rustfs:20261101", True),
        ("remotegpu-backend:main-abcdefa", True),
        ("remotegpu-backend:main", False),
        ("nginx:latest@sha256:" + "0" * 64, True),
        ("nginx@sha256:" + "0" * 64, True),
    ],
)
def test_what_means_the_same_tomorrow(reference: str, *, fixed: bool) -> None:
    assert is_fixed(reference) is fixed


def test_a_site_may_choose_its_own_image() -> None:
    assert image_of("nginx", {}) == manifest()["nginx"].reference
    assert image_of("nginx", {"nginx": "mirror/nginx:1.30.4"}) == "mirror/nginx:1.30.4"
    with_digest = versions.Component(image="a", tag="1", digest="sha256:x", source="", plan="", reason="")
    assert with_digest.reference == "a:1@sha256:x"


def test_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["site", "versions"]) == 0
    assert "1.30.4" in capsys.readouterr().out
    assert run(["site", "versions", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["redis"]["manifest"]["plan"] == "redis:8.4.0-alpine"
