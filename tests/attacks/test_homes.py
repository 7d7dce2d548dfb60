"""Another user of the machine, who was at the folder first."""

from __future__ import annotations

import os

import pytest

from commonhold.errors import Refused
from commonhold.home import Home
from commonhold.identity.keys import Key
from commonhold.node import founding


def test_a_home_in_another_users_folder_is_not_used(tmp_path, monkeypatch):
    """A key that lies there already may be known to whoever put it there."""
    home = Home(tmp_path / "home")
    home.make()
    Key.generate().save(home.key)
    monkeypatch.setattr(os, "geteuid", lambda: home.folder.stat().st_uid + 1)
    with pytest.raises(Refused):
        founding.create(home, "casa", person="ann", computer="tower")
    assert not home.joined


def test_a_folder_that_was_open_to_others_is_closed_to_them(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(0o777)
    Home(folder).make()
    assert folder.stat().st_mode & 0o777 == 0o700
