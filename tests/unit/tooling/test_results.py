"""What ``make test`` counts, and its closing line."""

import importlib.util
from pathlib import Path

import pytest
import results
import suites

JUNIT = """<testsuites><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="20">
<testcase name="a"><skipped message="no GPU"/></testcase><testcase name="b"><skipped message="no GPU"/></testcase>
<testcase name="c"><skipped message="not root"/></testcase></testsuite></testsuites>"""


def test_pytest_s_report_is_counted_with_the_reasons_for_skips(tmp_path: Path) -> None:
    report = tmp_path / "r.xml"
    report.write_text(JUNIT)
    result = results.from_junit("unit", 1, report)
    assert (result.passed, result.failed, result.skipped) == (14, 3, 3)
    assert result.notes == ["2 skipped: no GPU", "1 skipped: not root"]


def test_crash_without_a_report_is_a_failure(tmp_path: Path) -> None:
    assert results.from_junit("unit", -11, tmp_path / "absent.xml").failed == 1


def test_suite_without_a_test_is_a_failure(tmp_path: Path) -> None:
    report = tmp_path / "r.xml"
    report.write_text('<testsuites><testsuite errors="0" failures="0" skipped="0" tests="0"/></testsuites>')
    result = results.from_junit("unit", 5, report)
    assert (result.failed, result.notes) == (1, ["no test was collected"])


def test_vitest_is_counted_and_the_rest_of_the_command_is_one_check() -> None:
    files = "\x1b[2m Test Files \x1b[22m 1 failed\n"
    output = files + "\x1b[2m      Tests \x1b[22m \x1b[31m2 failed\x1b[39m | 7 passed | 1 skipped (10)\n"
    result = results.from_vitest("web", 1, output)
    assert (result.passed, result.failed, result.skipped) == (7, 2, 1)
    good = results.from_vitest("web", 0, "      Tests  9 passed (9)\n")
    assert (good.passed, good.failed) == (10, 0)
    lint = results.from_vitest("web", 1, "error: unused variable\n")
    assert (lint.passed, lint.failed) == (0, 1)


@pytest.mark.parametrize(("failed", "status"), [(0, 0), (1, 1)])
def test_closing_line_sums_all_suites(failed: int, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        results.Result("a", passed=3, skipped=1, notes=["left out"]),
        results.Result("b", passed=4, failed=failed),
    ]
    assert results.print_summary(rows) == status
    output = capsys.readouterr().out
    assert output.splitlines()[-1] == f"7 passed, {failed} failed, 1 skipped"
    assert "left out" in output


def test_closing_line_names_what_was_left_out_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        results.Result("unit", passed=3),
        results.Result("browser", skipped=1, left_out="no chromium; not root on Debian"),
        results.Result("integration", skipped=1, left_out="no ssh; not root on Debian"),
    ]
    assert results.print_summary(rows) == 0
    left_out = "browser (no chromium; not root on Debian), integration (no ssh; not root on Debian)"
    closing = capsys.readouterr().out.splitlines()[-1]
    assert closing == f"3 passed, 0 failed, 2 skipped; left out: {left_out}"


def test_nothing_ran_is_not_a_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert results.print_summary([results.Result("a", skipped=1)]) == 1
    assert capsys.readouterr().out.endswith("0 passed, 0 failed, 1 skipped\n")


def test_every_test_folder_belongs_to_one_suite() -> None:
    """A folder nobody runs would look as if it passed."""
    folders = {
        path.parent.relative_to(suites.ROOT).as_posix() for path in (suites.ROOT / "tests").rglob("test_*.py")
    } - {"tests"}
    unowned = {folder for folder in folders if sum(suite.owns(folder) for suite in suites.SUITES) != 1}
    assert unowned == set()
    single = {path.relative_to(suites.ROOT).as_posix() for path in (suites.ROOT / "tests").glob("test_*.py")}
    assert {path for path in single if suites.suite_for(path) is None} == set()


def test_path_finds_its_suite() -> None:
    found = suites.suite_for("tests/unit/cli/test_run.py::test_exit_status")
    assert found is not None
    assert found.name == "unit"
    assert suites.suite_for("src") is None


@pytest.mark.parametrize(
    ("can_install", "short", "long"),
    [
        (False, "no no-such-browser; not root on Debian", "this is not root on Debian"),
        (True, "no no-such-browser; apt-get failed", "apt-get could not bring it"),
    ],
)
def test_suite_without_its_programs_is_left_out_with_the_reason(
    can_install: bool, short: str, long: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import debian

    spec = importlib.util.spec_from_file_location("make_test", suites.ROOT / "scripts/test.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)  # by its file: the standard library has a `test` too
    spec.loader.exec_module(program)
    monkeypatch.setattr(debian, "can_install", lambda: can_install)
    suite = suites.Suite("browser", "pytest", paths=("tests/e2e",), needs=("no-such-browser",))
    result = program.run(suite)
    assert (result.passed, result.failed, result.skipped) == (0, 0, 1)
    assert result.left_out == short
    assert long in result.notes[0]
    assert "apt-get install no-such-browser" in result.notes[0]
