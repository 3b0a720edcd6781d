"""The first password is on disk before the server knows it: a kill at any point loses none."""

from pathlib import Path

import pytest

from remotegpu.local import bootstrap
from remotegpu.local.errors import LocalError
from remotegpu.local.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.secrets.mkdir()
    return made


def test_a_password_is_made_once_and_private(layout: Layout) -> None:
    path = bootstrap.kept_password(layout.secrets / "admin_first")
    made = path.read_text()
    assert len(made) >= 24
    assert path.stat().st_mode & 0o777 == 0o600
    assert bootstrap.kept_password(path).read_text() == made


def test_an_administrator_that_somebody_else_made_is_said_so(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "sign_in", lambda _port, _password: None)
    first = bootstrap.kept_password(layout.secrets / "admin_first")
    with pytest.raises(LocalError, match="Sign in with the password you chose"):
        bootstrap.administrator(layout, 1, first)
    assert not layout.admin_password.exists()
    assert first.exists(), "it may still be the right one"
