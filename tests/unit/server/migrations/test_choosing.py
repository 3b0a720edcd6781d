"""Which migrations a phase applies, and whether a database fits the code."""

import pytest

from remotegpu.server.migrations.chain import Revision
from remotegpu.server.migrations.choosing import Run, chosen, pending
from remotegpu.server.migrations.errors import MigrationError
from remotegpu.server.migrations.readiness import verdict


def line(*names: str) -> tuple[Revision, ...]:
    """Revisions by name; a ``post`` contracts when its slug says so."""
    return tuple(
        Revision(
            name=name,
            phase="pre" if "_pre_" in name else "post",
            contracts="drop" in name,
            transactional=True,
            summary=name,
            checksum=name,
        )
        for name in names
    )


TWO_RELEASES = line("0001_pre_a", "0002_post_drop_a", "0003_pre_b", "0004_pre_c", "0005_post_drop_b")


def names(revisions: tuple[Revision, ...]) -> list[str]:
    return [revision.name[:4] for revision in revisions]


@pytest.mark.parametrize(
    ("current", "phase", "applied"),
    [
        (None, "all", ["0001", "0002", "0003", "0004", "0005"]),
        (None, "pre", ["0001", "0002", "0003", "0004"]),
        ("0001_pre_a", "pre", ["0002", "0003", "0004"]),
        ("0002_post_drop_a", "pre", ["0003", "0004"]),
        ("0004_pre_c", "pre", []),
        ("0004_pre_c", "post", ["0005"]),
        ("0005_post_drop_b", "post", []),
        ("0006_pre_later", "all", []),
    ],
)
def test_a_phase_applies_its_part_of_the_line(current: str | None, phase: Run, applied: list[str]) -> None:
    assert names(chosen(pending(TWO_RELEASES, current), phase)) == applied


def test_post_is_refused_while_what_the_new_code_needs_is_pending() -> None:
    with pytest.raises(MigrationError, match=r"0004_pre_c is pending.*--phase pre"):
        chosen(pending(TWO_RELEASES, "0002_post_drop_a"), "post")


@pytest.mark.parametrize("current", ["0002_post_other", "handmade"])
def test_a_schema_of_another_line_is_refused(current: str) -> None:
    with pytest.raises(MigrationError, match=f"the schema is at {current}, which this version does not know"):
        pending(TWO_RELEASES, current)


@pytest.mark.parametrize("current", ["0004_pre_c", "0005_post_drop_b", "0006_pre_later"])
def test_code_is_ready_from_its_newest_pre_revision_on(current: str) -> None:
    assert verdict(TWO_RELEASES, current, ()) == "ok"


@pytest.mark.parametrize(
    ("current", "contracted", "said"),
    [
        (None, (), "there is no schema yet, expected 0004_pre_c; run"),
        ("0003_pre_b", (), "found 0003_pre_b, expected 0004_pre_c or newer; run"),
        ("0007_post_drop_c", ("0005_post_drop_b", "0007_post_drop_c"), "0007_post_drop_c removed what this"),
        ("0002_post_other", (), "found 0002_post_other, which this version does not know"),
    ],
)
def test_what_is_missing_is_said(current: str | None, contracted: tuple[str, ...], said: str) -> None:
    assert verdict(TWO_RELEASES, current, contracted).startswith(said)


def test_a_newer_schema_whose_known_part_alone_contracts_is_fine() -> None:
    assert verdict(TWO_RELEASES, "0007_pre_later", ("0002_post_drop_a", "0005_post_drop_b")) == "ok"
