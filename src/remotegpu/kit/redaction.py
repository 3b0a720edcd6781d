"""Takes secrets out of text that leaves the site: known values, and what looks like a credential. Pure."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

HIDDEN = "***"
SHORTEST = 6
"""Values below that are no secrets, and would tear ordinary words apart."""

_WORD = (
    r"(?:password|passwd|passphrase|secret|token|ticket|credential|cipher[_-]?pass|"
    r"(?:api|access|secret|private|signing)[_-]?key)"
)
"""How names of secrets end."""
_RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        HIDDEN,
    ),
    # headers, as curl, HTTP libraries and JSON write them
    (
        re.compile(
            r"""((?:proxy-)?authorization|(?:set-)?cookie)(["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\r\n]+)""",
            re.IGNORECASE,
        ),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # our own tokens, and anybody's JWT
    (re.compile(r"\brg[a-z]_[A-Za-z0-9_-]{16,}"), HIDDEN),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), HIDDEN),
    # who signs in, and the query, of a URL; the query of a bare path too
    (re.compile(r"://[^\s/@\"']+@"), f"://{HIDDEN}@"),
    (re.compile(r"(/[^\s\"'?<>]*)\?[^\s\"'<>]+"), rf"\1?{HIDDEN}"),
    # name=value and "name": "value"
    (
        re.compile(rf"([\w.-]*{_WORD})=(?!{re.escape(HIDDEN)})[^\s\"',;&]+", re.IGNORECASE),
        rf"\1={HIDDEN}",
    ),
    (
        re.compile(rf"""(["'][\w.-]*{_WORD}["']\s*:\s*)(["'])(?:(?!\2).)+\2""", re.IGNORECASE),
        rf"\1\2{HIDDEN}\2",
    ),
)


@dataclass(frozen=True)
class Redactor:
    """``values``: secrets that are known, hidden wherever they stand."""

    values: tuple[str, ...] = field(repr=False)

    def __call__(self, text: str) -> str:
        for value in self.values:
            text = text.replace(value, HIDDEN)
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
        return text


def redactor(contents: Iterable[str]) -> Redactor:
    """``contents``: of files with secrets; each line of them is one, so is its first word, and so is the whole.

    After the first word stands what is known of it, such as how long it is still accepted.
    """
    found: set[str] = set()
    for content in contents:
        lines = content.splitlines()
        found |= {content.strip(), *(line.strip() for line in lines)}
        found |= {line.split()[0] for line in lines if line.strip()}
    values = {value for value in found if len(value) >= SHORTEST and not value.startswith("-----")}
    return Redactor(tuple(sorted(values, key=lambda value: (-len(value), value))))
