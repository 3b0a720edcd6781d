"""Where the base of the stand-ins comes from: the mirror that apt on this machine is set up with, in either form."""

from pathlib import Path

import pytest

from stack.standins.debian import mirror_of

DEB822 = "Types: deb\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm\n"
SECURITY = "Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\n"
ONE_LINE = "deb [signed-by=/usr/share/keyrings/a.gpg] https://mirror.example/debian/ bookworm main\n"
UBUNTU = "deb http://mirror.example/ubuntu jammy main\n"


@pytest.mark.parametrize(
    ("name", "text", "mirror"),
    [
        ("sources.list.d/debian.sources", SECURITY + "\n" + DEB822, "http://mirror.example/debian"),
        ("sources.list", ONE_LINE, "https://mirror.example/debian/"),
        ("sources.list", "deb http://mirror.example/debian bookworm main\n", "http://mirror.example/debian"),
        ("sources.list", "# deb http://mirror.example/debian bookworm main\n", None),
        ("sources.list", UBUNTU, None),
        ("sources.list.d/debian.sources.disabled", DEB822, None),
    ],
)
def test_the_mirror_is_the_one_apt_uses(tmp_path: Path, name: str, text: str, mirror: str | None) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / name).write_text(text)
    assert mirror_of(tmp_path) == mirror
