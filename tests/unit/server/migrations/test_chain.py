"""What a migration's file must say, and the checksum that tells whether it was changed."""

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from remotegpu.server.migrations import chain
from remotegpu.server.migrations.errors import ChainError
from remotegpu.server.migrations.rendering import config
from remotegpu.server.migrations.versions import __file__ as versions

PRE = '"""Add a column"""\n\nrevision = "x"\n'


def test_the_real_chain_is_one_line_in_the_order_of_its_numbers() -> None:
    names = [revision.name for revision in chain.read()]
    scripts = ScriptDirectory.from_config(config())
    assert names == [script.revision for script in reversed(list(scripts.walk_revisions()))]
    assert scripts.get_heads() == [names[-1]]
    assert [script.down_revision for script in reversed(list(scripts.walk_revisions()))] == [
        None,
        *names[:-1],
    ]


def test_every_file_beside_the_revisions_is_one() -> None:
    found = {path.stem for path in Path(versions).parent.glob("*.py")} - {"__init__"}
    assert found == {revision.name for revision in chain.read()}


def test_the_ledger_starts_with_the_checksums_of_the_files_before_it() -> None:
    ledger = ScriptDirectory.from_config(config()).get_revision("0003_pre_schema_ledger").module
    before = {revision.name: revision.checksum for revision in chain.read()[:2]}
    assert before == ledger.BEFORE, "a released migration was changed: write a new one instead"


def test_marks_and_summary_are_read_without_running_the_file() -> None:
    source = '"""Drop it\n\nMore."""\nimport nowhere\ncontracts = True\ntransactional = False\n'
    found = chain.parse("0007_post_drop", source)
    assert (found.phase, found.contracts, found.transactional, found.summary, found.number) == (
        "post",
        True,
        False,
        "Drop it",
        7,
    )
    usual = chain.parse("0008_pre_add", PRE)
    assert (usual.contracts, usual.transactional) == (False, True)


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("0007_post_drop", PRE, "does not say whether it contracts"),
        ("0007_pre_drop", PRE + "contracts = True\n", "expected that of a post migration only"),
        ("0007_post_drop", PRE + "contracts = bool(1)\n", "expected contracts = True or False"),
        ("0007_drop", PRE, "expected NNNN_pre_slug or NNNN_post_slug"),
        ("7_pre_drop", PRE, "expected NNNN_pre_slug or NNNN_post_slug"),
        ("0007_pre_" + "x" * 24, PRE, "at most 32 characters"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused_by_name(name: str, source: str, said: str) -> None:
    with pytest.raises(ChainError, match=said) as caught:
        chain.parse(name, source)
    assert name in str(caught.value)


def test_a_number_twice_is_refused(tmp_path: Path) -> None:
    for name in ("0007_pre_mine", "0007_pre_yours"):
        (tmp_path / f"{name}.py").write_text(PRE)
    with pytest.raises(ChainError, match="0007_pre_mine and 0007_pre_yours"):
        chain.read([tmp_path])


def test_the_checksum_ignores_line_ends_and_nothing_else() -> None:
    assert chain.checksum("a = 1\nb = 2\n") == chain.checksum("a = 1  \r\nb = 2\r\n\r\n")
    assert chain.checksum("a = 1\n") != chain.checksum("a = 2\n")
    assert chain.checksum("if a:\n    b\nc\n") != chain.checksum("if a:\n    b\n    c\n")
