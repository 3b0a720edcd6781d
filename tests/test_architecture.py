"""Keeps the tables in ARCHITECTURE.md true: every package stands in one, and imports only what its row allows."""

import re
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
TABLE = re.compile(r"<!-- imports: (?P<parent>[\w.]+) -->\n(?P<rows>(?:\|.*\n)+)")
NAME = re.compile(r"`(\w+)`")
HAS_WIRING = {"remotegpu.server"}
"""Where plain modules beside the packages put a program together: those may import everything of it."""
HAS_PARTS = {"remotegpu.site"}
"""Where plain modules stand between the packages: import-linter's contract has the layer of each."""


def documented() -> dict[str, dict[str, set[str]]]:
    """``{parent: {package: allowed}}`` as the page has it."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tables: dict[str, dict[str, set[str]]] = {}
    for match in TABLE.finditer(page):
        rows = [line.strip().strip("|").split("|") for line in match["rows"].splitlines()[2:]]
        tables[match["parent"]] = {NAME.findall(row[0])[0]: set(NAME.findall(row[2])) for row in rows}
    return tables


def pages() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("remotegpu", cache_dir=None)


def imports_between_children(graph: grimp.ImportGraph, parent: str) -> dict[str, set[str]]:
    """``{child: siblings it imports}``, counting everything below each child."""
    children = {name.removeprefix(f"{parent}.") for name in graph.find_children(parent)}
    found: dict[str, set[str]] = {child: set() for child in children}
    for module in graph.modules:
        if not module.startswith(f"{parent}."):
            continue
        child = module.removeprefix(f"{parent}.").split(".")[0]
        for target in graph.find_modules_directly_imported_by(module):
            sibling = target.removeprefix(f"{parent}.").split(".")[0]
            if target.startswith(f"{parent}.") and sibling != child:
                found[child].add(sibling)
    return found


def test_the_page_has_its_four_tables() -> None:
    assert set(documented()) == {
        "remotegpu",
        "remotegpu.server",
        "remotegpu.server.domains",
        "remotegpu.site",
    }


def wiring(parent: str) -> set[str]:
    if parent not in HAS_WIRING | HAS_PARTS:
        return set()
    folder = ROOT / "src" / parent.replace(".", "/")
    return {path.stem for path in folder.glob("*.py")} - set(documented()[parent])


@pytest.mark.parametrize("parent", sorted(documented()))
def test_table_names_exactly_the_packages_there_are(graph: grimp.ImportGraph, parent: str) -> None:
    there = {name.removeprefix(f"{parent}.") for name in graph.find_children(parent)}
    assert set(documented()[parent]) == there - wiring(parent)


@pytest.mark.parametrize("parent", sorted(documented()))
def test_no_package_imports_more_than_its_row_allows(graph: grimp.ImportGraph, parent: str) -> None:
    allowed = documented()[parent]
    free = wiring(parent)
    parts = free if parent in HAS_PARTS else set[str]()
    beyond = {
        child: sorted(siblings - allowed.get(child, set()) - parts)
        for child, siblings in imports_between_children(graph, parent).items()
        if child not in free and siblings - allowed.get(child, set()) - parts
    }
    assert beyond == {}, "imports beyond ARCHITECTURE.md: change the code, or the table with its reason"


@pytest.mark.parametrize("parent", sorted(documented()))
def test_allowed_imports_have_no_circle(parent: str) -> None:
    """A table that allows a circle would allow everything."""
    remaining = documented()[parent]
    while remaining:
        free = {name for name, allowed in remaining.items() if not allowed & set(remaining)}
        assert free, f"these may import each other in a circle: {sorted(remaining)}"
        remaining = {name: allowed for name, allowed in remaining.items() if name not in free}


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT).as_posix() for path in pages()))
def test_every_file_that_a_page_links_to_exists(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []
