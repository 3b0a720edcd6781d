"""The chain of revisions this code knows, read from their files.

A revision's name is its file's name, ``NNNN_pre_slug`` or ``NNNN_post_slug``; names sort in the order in which they
are applied. What else matters about it stands in the file as literals. No file is executed, so a health check can ask
cheaply.
"""

import ast
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from remotegpu.server.migrations.errors import ChainError

VERSIONS = Path(__file__).parent / "versions"
NAME = re.compile(r"(?P<number>\d{4})_(?P<phase>pre|post)_[a-z0-9_]+")
NAME_MAX_CHARACTERS = 32
"""``alembic_version.version_num`` holds no more."""
MARKS = {"contracts", "transactional"}

Phase = Literal["pre", "post"]
Chain = Sequence["Revision"]


@dataclass(frozen=True, kw_only=True)
class Revision:
    """``phase``: before or after the code it belongs to. ``contracts``: it removes what the code before it needs.

    ``transactional``: False for what PostgreSQL does only outside a transaction (``CREATE INDEX CONCURRENTLY``).
    """

    name: str
    phase: Phase
    contracts: bool
    transactional: bool
    summary: str
    checksum: str

    @property
    def number(self) -> int:
        return int(self.name[:4])


def read(folders: Sequence[Path] = (VERSIONS,)) -> tuple[Revision, ...]:
    """Every revision in ``folders``, in order. Raises :class:`ChainError` for a file that breaks a rule."""
    paths = sorted(
        (path for folder in folders for path in folder.glob("[0-9]*.py")), key=lambda path: path.stem
    )
    revisions = tuple(parse(path.stem, path.read_text(encoding="utf-8")) for path in paths)
    for earlier, later in pairwise(revisions):
        if earlier.number == later.number:
            raise ChainError(
                f"found {earlier.name} and {later.name}, expected each number once; renumber the newer one"
            )
    return revisions


def parse(name: str, source: str) -> Revision:
    """One revision from its file's name and text."""
    match = NAME.fullmatch(name)
    if match is None or len(name) > NAME_MAX_CHARACTERS:
        raise ChainError(
            f"found the migration {name}, expected NNNN_pre_slug or NNNN_post_slug of at most {NAME_MAX_CHARACTERS} "
            "characters, in lower case"
        )
    module = ast.parse(source)
    marks = _marks(name, module)
    phase: Phase = "pre" if match["phase"] == "pre" else "post"
    if phase == "post" and "contracts" not in marks:
        raise ChainError(
            f"{name} does not say whether it contracts; add `contracts = True` when it removes what the code before it "
            "needs, else `contracts = False`"
        )
    if phase == "pre" and marks.get("contracts"):
        raise ChainError(
            f"{name} contracts, expected that of a post migration only: the old code still runs when a pre migration "
            "is applied"
        )
    return Revision(
        name=name,
        phase=phase,
        contracts=marks.get("contracts", False),
        transactional=marks.get("transactional", True),
        summary=(ast.get_docstring(module) or name).splitlines()[0],
        checksum=checksum(source),
    )


def checksum(source: str) -> str:
    """SHA-256 of a file's text, whatever its line ends and whatever spaces end its lines."""
    lines = [line.rstrip() for line in source.strip().splitlines()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _marks(name: str, module: ast.Module) -> dict[str, bool]:
    """``contracts`` and ``transactional`` as the file says them."""
    found: dict[str, bool] = {}
    for node in module.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if not isinstance(node, ast.Assign) or not isinstance(target, ast.Name) or target.id not in MARKS:
            continue
        value = node.value.value if isinstance(node.value, ast.Constant) else None
        if not isinstance(value, bool):
            raise ChainError(f"{name}: found {ast.unparse(node)!r}, expected {target.id} = True or False")
        found[target.id] = value
    return found
