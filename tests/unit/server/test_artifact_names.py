"""Which artifacts of an agent are acceptable, and what their objects are called."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotegpu.protocol.attempts import ArtifactFile
from remotegpu.server.domains.tasks import artifacts

TASK, ATTEMPT = uuid.UUID(int=1), uuid.UUID(int=2)
DIGEST = "0123456789abcdef" * 4


def file(path: str, size_bytes: int = 1, sha256: str = DIGEST) -> ArtifactFile:
    return ArtifactFile(path=path, size_bytes=size_bytes, sha256=sha256)


def test_offer_names_every_problem_with_its_place() -> None:
    found = artifacts.problems_of([file("ok"), file("../x", -1, "short"), file("/etc/passwd")])
    assert [problem.field for problem in found] == [
        "files[1].path",
        "files[1].size_bytes",
        "files[1].sha256",
        "files[2].path",
    ]


def test_too_many_files_are_refused_with_what_to_do() -> None:
    found = artifacts.problems_of([file(f"f{number}") for number in range(artifacts.MAX_FILES + 1)])
    assert [problem.field for problem in found] == ["files"]
    assert "archive" in found[0].expected


def test_what_is_listed_is_acceptable_and_each_path_once() -> None:
    first, again = file("a", 1), file("a", 2)
    assert artifacts.acceptable([first, again, file(".."), file("b")]) == [first, file("b")]


@given(path=st.text(max_size=60), digest=st.text(max_size=70), size=st.integers())
def test_nothing_an_agent_says_leads_out_of_its_attempts_folder(path: str, digest: str, size: int) -> None:
    for listed in artifacts.acceptable([file(path, size, digest), file(path)]):
        key = artifacts.object_key(TASK, ATTEMPT, listed)
        folder, _, name = key.rpartition("/")
        assert folder == f"artifacts/{TASK}/{ATTEMPT}"
        assert name.partition(".")[0] == listed.sha256
        assert ".." not in key
        assert key.isascii()


@pytest.mark.parametrize(
    ("path", "suffix"),
    [
        ("model.bin", ".bin"),
        ("a/b.tar.gz", ".gz"),
        ("none", ""),
        ("x.", ""),
        ("x.ü", ""),
        ("x." + "y" * 13, ""),
    ],
)
def test_suffix_helps_people_where_it_is_harmless(path: str, suffix: str) -> None:
    assert artifacts.object_key(TASK, ATTEMPT, file(path)).endswith(DIGEST + suffix)
