"""Reads ``remotegpu.yaml``: syntax, then every field, then what contradicts what. All problems at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from remotegpu.kit import explain
from remotegpu.kit.explain import FieldProblem
from remotegpu.site.config import rules
from remotegpu.site.config.model import Config
from remotegpu.site.config.problems import ConfigError, ConfigProblem, closest

FILE_NAME = "remotegpu.yaml"
MOST_PROBLEMS = 1000
"""All of them, in any file that somebody wrote."""
IN_PLACE = {"site": {"name": "site", "domain": "site.invalid"}, "release": {"version": "v0.0.0"}}
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def load(path: Path) -> Config:
    """The site described in ``path``. Raises :class:`ConfigError` with everything that is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        remedy = "Make one with `remotegpu site init`, or name another with --config."
        raise ConfigError(str(path), [ConfigProblem("file", "nothing", FILE_NAME, remedy)]) from error
    except (OSError, UnicodeDecodeError) as error:
        remedy = "Make it readable."
        raise ConfigError(str(path), [ConfigProblem("file", str(error), "UTF-8 text", remedy)]) from error
    return parse(text, str(path))


def parse(text: str, path: str = FILE_NAME) -> Config:
    """The same from its text. Pure."""
    document = _document(text, path)
    plain = _plain(document)
    wrong = explain.problems_of(plain, Config, most=MOST_PROBLEMS)
    config, sound = _readable(plain, wrong)
    problems = [_located(problem, document) for problem in wrong]
    problems += [_placed(problem, document) for problem in rules.contradictions(config, sound)]
    if problems:
        raise ConfigError(path, problems)
    return config


def _readable(plain: Mapping[str, Any], wrong: Sequence[FieldProblem]) -> tuple[Config, set[str]]:
    """The configuration and the names of its sound sections; in place of the others stands what must be there."""
    broken = {problem.field.split(".")[0] for problem in wrong}
    sections = {name: content for name, content in plain.items() if name not in broken}
    stand_ins = {name: content for name, content in IN_PLACE.items() if name in broken}
    return msgspec.convert(stand_ins | sections, Config), set(rules.SECTIONS) - broken


def _document(text: str, path: str) -> CommentedMap:
    try:
        found = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ConfigProblem(
            "file",
            (error.problem or "something that is not YAML").strip(),
            "YAML",
            "Correct this line; quotes, indentation and doubled keys are the usual causes.",
            mark.line + 1 if mark else None,
        )
        raise ConfigError(path, [problem]) from error
    except YAMLError as error:
        raise ConfigError(path, [ConfigProblem("file", str(error), "YAML", "Correct it.")]) from error
    if not isinstance(found, CommentedMap):
        kind = "nothing" if found is None else type(found).__name__
        remedy = "Begin with `remotegpu site init`."
        raise ConfigError(path, [ConfigProblem("file", kind, "sections such as site and release", remedy)])
    return found


def _plain(value: object) -> Any:  # Any: what YAML can hold
    """Ordinary dictionaries, lists and scalars."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    for kind in (bool, int, float):  # the loader's own numbers remember how they were written
        if isinstance(value, kind):
            return kind(value)
    return None if value is None else str(value)


def _located(problem: FieldProblem, document: CommentedMap) -> ConfigProblem:
    return ConfigProblem(
        problem.field, problem.found, problem.expected, _remedy(problem), line_of(document, problem.field)
    )


def _placed(problem: ConfigProblem, document: CommentedMap) -> ConfigProblem:
    return replace(problem, line=line_of(document, problem.key))


def _remedy(problem: FieldProblem) -> str:
    name = problem.field.rpartition(".")[2]
    if problem.found == "an unknown field":
        meant = closest(name, problem.expected.removeprefix("only ").split(", "))
        return f"Did you mean {meant}?" if meant else "Remove it."
    if problem.found == "nothing":
        return f"Add {problem.field}."
    return "Correct it."


def line_of(document: CommentedMap, key: str) -> int | None:
    """The line of ``a.b[0].c``, or of the deepest part of it that stands in the file."""
    place: object = document
    line: int | None = None
    for name, index in _STEP.findall(key):
        step: str | int = int(index) if index else name
        if isinstance(place, CommentedMap) and step in place:
            line = place.lc.key(step)[0] + 1
        elif isinstance(place, CommentedSeq) and isinstance(step, int) and step < len(place):
            line = place.lc.item(step)[0] + 1
        else:
            return line
        place = place[step]
    return line
