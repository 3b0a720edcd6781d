"""What the generated pages share."""

from __future__ import annotations


def header(source: str) -> str:
    return f"<!-- Made by `make docs` from {source}. Edit that, not this page. -->\n\n"


def cell(text: str) -> str:
    """Text that stays inside one table cell."""
    return " ".join(text.split()).replace("|", "\\|")


def plain(docstring: str | None) -> str:
    """reStructuredText of a docstring → Markdown, as far as our docstrings use it."""
    text = (docstring or "").strip().replace("``", "`")
    for role in (":class:", ":func:", ":meth:", ":mod:"):
        text = text.replace(role, "")
    return text
