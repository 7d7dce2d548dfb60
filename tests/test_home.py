"""The home: what lies in it, for whose eyes, and what is said when it is not as it was left."""

from __future__ import annotations

import os
import stat

import pytest

from commonhold.errors import Conflict, Damaged, NodeNotRunning, NotFound
from commonhold.home import GatewayCard, Home, LendingTerms, Settings, write_private
from commonhold.wire import to_json


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.make()
    return made


SETTINGS = Settings(network="a" * 64, computer="tower", listen=("127.0.0.2:7440",), lend=LendingTerms("never", 2))


def test_nothing_is_made_before_it_is_needed(tmp_path):
    home = Home.find(str(tmp_path / "deep" / "home"))
    assert not home.joined
    for question in (home.settings, home.gateway, home.computer):
        with pytest.raises(NotFound):
            question()
    assert list(tmp_path.iterdir()) == []
    home.make()
    home.make()
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700


def test_settings_come_back_as_they_were_saved(home):
    home.save_settings(SETTINGS)
    assert home.joined
    assert home.settings() == SETTINGS
    assert home.computer() == "tower"
    assert b'\n  "computer": "tower"' in home.settings_file.read_bytes()  # people may read and mend it
    assert stat.S_IMODE(home.settings_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("lend", [b'"when": "often"', b'"hours": "at night"', b'"cores": -1', b'"memory": 1e30'])
def test_terms_that_nobody_can_keep_are_damage(home, lend):
    home.settings_file.write_bytes(b'{"network": "x", "computer": "tower", "lend": {' + lend + b"}}")
    with pytest.raises(Damaged):
        home.settings()


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"network": "x"}', b"\xff", b'{"lend": {"when": "often"}}'])
def test_damaged_settings_name_the_file_and_stay(home, content):
    home.settings_file.write_bytes(content)
    with pytest.raises(Damaged) as damaged:
        home.settings()
    assert damaged.value.sentence.startswith(f"{home.settings_file} is damaged: ")
    assert home.settings_file.read_bytes() == content


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"url": 1}', b"\xff"])
def test_without_a_whole_card_no_node_runs(home, content):
    if content is not None:
        home.gateway_file.write_bytes(content)
    with pytest.raises(NotFound):
        home.gateway()
    home.save_settings(SETTINGS)
    with pytest.raises(NodeNotRunning) as down:
        home.gateway()
    assert down.value.hint == "commonhold up"
    card = GatewayCard("http://127.0.0.1:1", "secret", 1)
    write_private(home.gateway_file, to_json(card))
    assert home.gateway() == card


def test_a_file_in_the_way_is_a_conflict(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        for question in (Home(folder).make, Home(folder).settings, Home(folder).gateway):
            with pytest.raises(Conflict, match="is not a folder"):
                question()


def test_a_private_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "card"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"newer")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["card"]


def test_a_tilde_and_a_relative_name_are_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert Home.find("~/x").folder == tmp_path / "x"
    assert Home.find("y").folder == tmp_path / "y"
