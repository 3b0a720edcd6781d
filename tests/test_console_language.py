"""Keeps the console's words complete: a title for every problem code, and Chinese for every text people are shown.

The texts are read out of the source: each literal with more than one word in the modules below, with ``7`` for what
is filled in. A new one needs a pattern in ``phrases.zh-CN.json``, or a line in :data:`UNSEEN` that says why not.
"""

import ast
import importlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import zxcvbn.feedback

import remotegpu.server.domains
from remotegpu.kit import explain
from remotegpu.server.core import errors, problems

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "remotegpu"
I18N = ROOT / "web" / "src" / "app" / "i18n"
CONSOLE_CODES = {"unreachable", "unexpected"}
"""Made by the console itself when there is no answer to take a code from."""
MOMENT = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)
ERRORS = {name for name in vars(errors) if name.endswith("Error")} | {"FieldProblem"}
LOGGERS = {"log", "_LOG"}

TELLING = [
    *sorted((SOURCE / "server" / "domains").rglob("*.py")),
    *(
        SOURCE / "agent" / name
        for name in (
            "access/server.py",
            "access/session.py",
            "access/shells.py",
            "accounts/adapter.py",
            "accounts/directory.py",
            "accounts/linux.py",
            "accounts/processes.py",
            "accounts/remains.py",
            "reconciler.py",
            "tasks/artifacts.py",
            "tasks/attempt_host.py",
            "tasks/host_runner.py",
            "tasks/lifecycle.py",
        )
    ),
]
"""Modules whose sentences become reasons, details and expectations."""

COMPLETED = {
    "task(s) still stopping": "7 task(s) still stopping",
    "session(s) still closing": "7 session(s) still closing",
    "7 cannot start 7: 77": "cannot start 7: 7",
    "22 cannot start: 7 in command, arguments or environment": "cannot start: 7 in command, arguments or environment",
    "not a regular file": "7: not a regular file",
}
"""Literals that are a part of what is told, and the whole."""

ELSEWHERE = {
    # Written by programs that are not ours.
    "Bad Gateway": "a proxy's status line",
    "Failed to fetch": "a browser without a connection",
    "Gateway Timeout": "a proxy's status line",
    "Service Unavailable": "a proxy's status line",
    "7: Permission denied": "the system's word about a file",
    # Written by ours where no literal holds them whole.
    "422 invalid: 7": "an answer of the server, as the agent quotes it",
    "422: no explanation": "an answer that is none of ours, as the agent quotes it",
    "attempt 7 failed (failed); retries at 06:30:00 UTC": "an attempt that ended without a reason",
    "a machine that is lost cannot become online; from here it can become: nothing, that is final": "a final state",
    "ended by an admin": "stored as a reason by earlier consoles",
    "further refusals of this address within the minute are counted in metrics only": "server/refusals.py",
    "it is nested too deeply": "a part of a refusal in server/core/bodies.py",
    "the request cannot be understood": "a refusal of the framework without words",
    "a time": "before `or null`",
    "true or false": "before `or null`",
    "stopping: 7": "a task that was asked to stop and has not ended",
    "this path has only 7": "server/core/problems.py, of a method",
    "one of 7": "kit/explain.py and paging.py",
    "only 7, 7": "kit/explain.py, of an unknown field",
    "text that matches 7": "kit/explain.py, of a field without a description",
}
"""Texts that people are shown but that the modules above do not hold, with where they come from."""

UNSEEN = {
    # SQL, scripts and formats, not sentences.
    r"state (IN|=) .*",
    r"ends_at > starts_at",
    r"\nlocal .*",
    r"text/plain; charset=utf-8",
    r"printf %s .*",
    # Only in the API's reference, which is in English.
    r"Same id: the same shell again",
    r"body: refresh token in the body, no cookie",
    r"Byte to start from",
    r"Attempt; the latest by default",
    # What an operator's command says on a terminal.
    r"the object store at .* does not answer: .*",
    r"the object store refused the bucket .*",
    # Comments that keep a stream open.
    r"still here",
    r"nothing new",
    # On the host: account comments, the log of a task, what a terminal prints before it ends.
    r"RemoteGPU customer account",
    r"\[log truncated by RemoteGPU: .*",
    r"the account is not leased",
    r"taken over by another window",
    r"the terminal's process is gone",
    # A defect of ours, which ends as an unexpected error.
    r"attempt id is '7', expected letters, digits and -",
    # Parts of sentences: of a final state; what the server takes off the front of the agent's word.
    r"nothing, that is final",
    r"remotegpu: 77",
}
"""Patterns of literals in the modules above that nobody sees in the console."""


def trees(paths: list[Path]) -> Iterator[ast.Module]:
    for path in paths:
        yield ast.parse(path.read_text(encoding="utf-8"))


def server_trees() -> Iterator[ast.Module]:
    return trees(sorted((SOURCE / "server").rglob("*.py")))


def name_of(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def sample(node: ast.expr) -> str | None:
    """The text a literal makes, with ``7`` or :data:`MOMENT` filled in. None for what is no literal."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(filled(part) for part in node.values)
    return None


def samples(argument: ast.expr) -> Iterator[str]:
    """The text of an argument, or both texts of a conditional one."""
    for choice in [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]:
        if text := sample(choice):
            yield text


def filled(part: ast.expr) -> str:
    if not isinstance(part, ast.FormattedValue):
        return sample(part) or ""
    form = sample(part.format_spec) if part.format_spec is not None else ""
    value = MOMENT.strftime(form) if form and "%" in form else "7"
    return repr(value) if part.conversion == ord("r") else value


class Literals(ast.NodeVisitor):
    """Collects the texts of a module that are neither docstrings nor logged nor asserted."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        """What is asserted is said to programmers."""

    def visit_Call(self, node: ast.Call) -> None:
        whose = getattr(getattr(node.func, "value", None), "id", "")
        if whose not in LOGGERS:
            self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self.found.add(sample(node) or "")
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.found.add(node.value)


def literals() -> set[str]:
    """Sentences of the telling modules: more than one word, and a word of letters."""
    collector = Literals()
    for tree in trees(TELLING):
        collector.visit(tree)
    texts = {text.removeprefix("; ") for text in collector.found}
    return {text for text in texts if re.search(r"\w\W* \W*\w", text) and re.search(r"[a-z]{2}", text)}


def refusals() -> set[str]:
    """What the errors of the server say, wherever they are raised, and what they expect of a field."""
    found: set[str] = set()
    for tree in server_trees():
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and name_of(call) in ERRORS:
                told_in = call.args[2:3] if name_of(call) == "FieldProblem" else call.args[:1]
                found |= {text for argument in told_in for text in samples(argument)}
    return found | {problems.UNEXPECTED}


def password_advice() -> set[str]:
    tree = ast.parse(Path(zxcvbn.feedback.__file__).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and name_of(node) == "_"]
    return {text for call in calls if (text := sample(call.args[0]))}


def request_types() -> Iterator[type[msgspec.Struct]]:
    for folder in remotegpu.server.domains.__path__:
        for path in sorted(Path(folder).glob("*/schemas.py")):
            module = importlib.import_module(f"remotegpu.server.domains.{path.parent.name}.schemas")
            yield from structs_of(module)


def structs_of(module: ModuleType) -> Iterator[type[msgspec.Struct]]:
    for kind in vars(module).values():
        is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
        if is_struct and kind.__struct_config__.forbid_unknown_fields:
            yield kind


WRONG: list[Any] = [
    None,
    True,
    -(10**9),
    10**9,
    1.5,
    "",
    "x" * 300_000,
    "\x00",
    [],
    [7] * 300,
    {},
    {"1 a": "x"},
]
"""One of them is wrong for any field."""


def expectations() -> set[str]:
    """What the server says it expects of each field of each request, by asking it."""
    return {
        problem.expected
        for kind in request_types()
        for field in msgspec.structs.fields(kind)
        for value in WRONG
        for problem in explain.problems_of({field.encode_name: value}, kind)
    }


def told() -> set[str]:
    """Everything that people may be shown."""
    written = {COMPLETED.get(text, text) for text in literals() | refusals()}
    return {text for text in written | password_advice() | expectations() if not is_unseen(text)}


def is_unseen(text: str) -> bool:
    return any(re.fullmatch(pattern, text, re.DOTALL) for pattern in UNSEEN)


def patterns() -> list[re.Pattern[str]]:
    table = json.loads((I18N / "phrases.zh-CN.json").read_text(encoding="utf-8"))
    return [re.compile(phrase["pattern"], re.DOTALL) for phrase in table["phrases"]]


def has_words(text: str, known: list[re.Pattern[str]]) -> bool:
    """As the console looks it up: the whole, or else each part. What is only filled in needs none."""
    if any(pattern.fullmatch(text) for pattern in known):
        return True
    if not re.search("[A-Za-z]", text):
        return True
    cuts = [match.end() for match in re.finditer(r"; |\. ", text)]
    heads = [(text[:cut].removesuffix("; ").rstrip(" "), text[cut:]) for cut in cuts]
    return any(has_words(rest, known) for head, rest in heads if has_words(head, known))


def codes() -> set[str]:
    """Problem codes the server can answer."""
    found = {code for code, _title in problems._KNOWN.values()}  # pyright: ignore[reportPrivateUsage] - the framework's own refusals
    for tree in server_trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and name_of(node) in ERRORS:
                found |= {sample(word.value) or "" for word in node.keywords if word.arg == "code"}
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return {code for code in found if code} | {kind.code for kind in classes if hasattr(kind, "code")}


def titles(language: str) -> set[str]:
    """Keys of the ``problem`` section of a language, whose other key is the word for the request's id."""
    text = (I18N / f"{language}.ts").read_text(encoding="utf-8")
    section = re.search(r"^  problem: \{\n(.*?)^  \},$", text, re.DOTALL | re.MULTILINE)
    assert section is not None, f"{language}.ts has no section `problem`"
    return set(re.findall(r"^    (\w+):", section[1], re.MULTILINE)) - {"request_id"}


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_problem_code_has_a_title(language: str) -> None:
    wanted = codes() | CONSOLE_CODES
    assert len(wanted) > 50, "the codes are no longer found where they were"
    assert sorted(wanted - titles(language)) == [], f"add titles to `problem` in {language}.ts"
    assert sorted(titles(language) - wanted) == [], (
        f"nothing answers these codes: remove them from {language}.ts"
    )


def test_every_text_people_are_shown_has_a_phrase() -> None:
    known = patterns()
    texts = told()
    assert len(texts) > 200, "the texts are no longer found where they were"
    missing = sorted(text for text in texts | set(ELSEWHERE) if not has_words(text, known))
    assert missing == [], "add patterns to phrases.zh-CN.json, or say in UNSEEN why nobody sees these"


def test_every_phrase_belongs_to_a_text() -> None:
    whole = told() | set(ELSEWHERE)
    parts = {part for text in whole for part in re.split(r"; |(?<=\.) ", text)}
    unused = [p.pattern for p in patterns() if not any(p.fullmatch(text) for text in whole | parts)]
    assert unused == [], "nobody says these any more: remove them from phrases.zh-CN.json"


def test_every_exception_is_still_needed() -> None:
    written = literals() | refusals()
    assert [text for text in COMPLETED if text not in written] == []
    assert [p for p in UNSEEN if not any(re.fullmatch(p, text, re.DOTALL) for text in written)] == []
