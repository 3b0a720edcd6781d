"""Every command that a page or a message of ours tells people to type is one: its words, options and arguments."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import CycloptsError, MissingArgumentError

from remotegpu.cli.agent import app as agent_app
from remotegpu.cli.main import build_app

ROOT = Path(__file__).parents[3]
GENERATED = ROOT / "docs/reference/cli.md"  # from the commands themselves, with [OPTIONS] in them
PAGES = sorted(
    path.relative_to(ROOT)
    for path in (*ROOT.glob("README*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"))
    if path != GENERATED
)
SOURCES = sorted(path.relative_to(ROOT) for path in ROOT.glob("src/**/*.py"))
BLOCK = re.compile(r"^```(?:sh|console|bash|ini)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:remotegpu(?:-agent)?|site|backups) [^`\n]+)`")
IN_SOURCES = re.compile(r"(?<!`)`(remotegpu [^`|{}]+)`(?!`)")
TYPED = re.compile(r"(?:^|[\s/])(remotegpu [a-z-].*)|^(?:sudo )?(remotegpu-agent .*)")
END = {"|", "&&", ";", "||", ">", ">>"}


def in_blocks(page: str) -> Iterator[str]:
    """What stands in blocks of shell, in whole: also behind ``docker compose exec backup``, and in a line for cron."""
    for block in BLOCK.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            for typed in map("".join, TYPED.findall(line.split(" # ")[0].strip())):
                yield typed.partition("'")[0] if line.startswith("echo '") else typed


def words(command: str) -> list[str]:
    """As the shell splits it, up to where another command begins. A guide may leave out ``remotegpu``, and values."""
    found = shlex.split(command.replace("…", "X").replace("...", "X"), comments=True)
    ends = [place for place, word in enumerate(found) if word in END]
    found = found[: ends[0]] if ends else found
    return found if found[0].startswith("remotegpu") else ["remotegpu", *found]


def understand(typed: list[str]) -> None:
    """Raises :class:`CycloptsError`. Nothing is run."""
    program, *arguments = typed
    app = agent_app if program == "remotegpu-agent" else build_app()
    app.parse_args(arguments, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_what_a_page_says_to_type_can_be_typed(path: Path) -> None:
    page = (ROOT / path).read_text(encoding="utf-8")
    wrong = []
    for command in in_blocks(page):
        try:
            understand(words(command))
        except CycloptsError as error:
            wrong.append(f"{command}: {error}")
    for command in INLINE.findall(BLOCK.sub("", page)):
        try:
            understand(words(command))
        except MissingArgumentError:
            pass  # named in a sentence, as `site images save`: the sentence is not what is typed
        except CycloptsError as error:
            wrong.append(f"{command}: {error}")
    assert wrong == []


def test_what_messages_say_to_do_next_can_be_done() -> None:
    wrong = []
    for path in SOURCES:
        for command in IN_SOURCES.findall((ROOT / path).read_text(encoding="utf-8")):
            try:
                understand(words(command))
            except MissingArgumentError:
                pass
            except CycloptsError as error:
                wrong.append(f"{path}: {command}: {error}")
    assert wrong == []


def test_the_pages_hold_commands_to_look_at() -> None:
    pages = [path for path in PAGES if "guides/site" in str(path)]
    assert len(pages) >= 14
    found = [command for path in pages for command in in_blocks((ROOT / path).read_text(encoding="utf-8"))]
    assert len(found) > 100
    assert any(command.startswith("remotegpu site certificate --config /opt") for command in found)
    assert any(command.startswith("remotegpu backups swap --into") for command in found)


@pytest.mark.parametrize(
    "command", ["remotegpu site deplay", "remotegpu site deploy --dry", "remotegpu site images load"]
)
def test_a_command_that_is_none_would_be_found(command: str) -> None:
    with pytest.raises(CycloptsError):
        understand(words(command))


@pytest.mark.parametrize(
    "path", [path for path in PAGES if (ROOT / path).with_suffix(".zh-CN.md").exists()], ids=str
)
def test_both_languages_say_to_type_the_same(path: Path) -> None:
    """Comments are in the reader's language; the commands behind them are the same."""
    english = (ROOT / path).read_text(encoding="utf-8")
    chinese = (ROOT / path).with_suffix(".zh-CN.md").read_text(encoding="utf-8")
    assert [shown(command) for command in in_blocks(chinese)] == [
        shown(command) for command in in_blocks(english)
    ]


def shown(command: str) -> list[str]:
    """Without what is the reader's own: the language that ``site init`` writes in, and the reasons."""
    found = words(command)
    for option in ("--why", "--language"):
        if option in found:
            place = found.index(option)
            del found[place : place + 2]
    return found
