"""Migrations that a test writes on top of the real ones, and running them as the owner of one test's database."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from remotegpu.server.migrations import chain
from remotegpu.server.migrations.chain import VERSIONS

HEAD = chain.read()[-1].name
"""The newest real revision."""

PAGE = '''"""{summary}"""

from alembic import op

revision = "{name}"
down_revision = "{after}"
{marks}

def upgrade() -> None:
{body}
'''


def write(
    folder: Path, name: str, *statements: str, after: str = HEAD, body: str | None = None, **marks: bool
) -> Sequence[Path]:
    """A migration that runs ``statements`` (or ``body``, Python). Returns the folders that make the whole chain."""
    lines = body or "\n".join(f"op.execute({statement!r})" for statement in statements)
    text = PAGE.format(
        summary=f"Test migration {name}",
        name=name,
        after=after,
        marks="".join(f"{mark} = {value}\n" for mark, value in marks.items()),
        body="\n".join(f"    {line}" for line in lines.splitlines()),
    )
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return (VERSIONS, folder)


@contextmanager
def environment(env: Mapping[str, str]) -> Iterator[None]:
    """This process's variables for ``remotegpu.server.migrations.run``, which reads them like the command."""
    with patch.dict(os.environ, env):
        yield
