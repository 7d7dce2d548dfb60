"""What a newcomer types about jobs, and what is said where it cannot be."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import PurePath

import pytest

from commonhold.errors import Unreachable, WrongUsage
from commonhold.transport import local

from ..conftest import town


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    """Alone in its network."""
    with town(tmp_path_factory.mktemp("newcomer")) as make:
        tower = make("tower", "ann")
        tower.create("casa")
        yield tower


@pytest.mark.parametrize("name", ["why?.txt", "ends with a dot.", "two\nlines.txt"])
@pytest.mark.parametrize("trial", [(), ("--dry-run",)])
def test_a_local_name_that_cannot_travel_is_named_before_anything_is_begun(tower, tmp_path, name, trial):
    (tmp_path / "fine.txt").write_text("fine")
    (tmp_path / name).write_text("not")
    before = tower.json("jobs")
    seen = tower.typed("run", *trial, "cat {}", ":::", tmp_path, code=2)
    assert str(tmp_path) in seen.err
    assert "cannot be brought" in seen.err
    assert "give it another name" in seen.err
    assert "again" not in seen.err
    assert tower.json("jobs") == before


def test_who_asks_for_more_than_there_is_hears_of_that_and_of_no_rule(tower):
    seen = tower.typed("run", "--cores", "999", "true", code=4)
    assert "each task needs 999" in seen.err
    assert "explain" not in seen.err
    number = tower.json("jobs")[-1]["job"]
    told = tower.typed("log", number)
    assert f"Job {number} ended as failed before it had tasks: There is no computer to run this on." in told.err


def test_bounds_of_lending_are_told_as_people_type_them(tower):
    assert " GB of memory." in tower.typed("lend", "--memory", "10MB", code=2).err
    assert "between 16 MiB and " in tower.typed("lend", "--disk", "1kB", code=2).err
    assert "between 1 and" in tower.typed("lend", "--cores", "9999", code=2).err


def test_a_placeholder_without_an_input_is_told_of(tower):
    assert "No input is named" in tower.typed("run", "echo {}").err
    assert "No input is named" not in tower.typed("run", "echo {}", ":::", "a").err


def test_one_text_is_one_input_a_path_is_its_text_and_a_number_is_refused(tower, tmp_path):
    (tmp_path / "a b").write_text("x")
    assert [plan.input for plan in tower.net.plan("echo {}", "abc")] == ["abc"]
    assert [plan.kind for plan in tower.net.plan("wc {}", [tmp_path / "a b"])] == ["local"]
    for wrong in (5, b"bytes", None, PurePath):
        with pytest.raises(WrongUsage, match="is text or a path"):
            tower.net.run("echo {}", ["1", wrong])


def test_a_node_that_hangs_is_told_apart_from_one_that_is_down(tower, monkeypatch):
    monkeypatch.setattr(local, "PATIENCE", 0.5)
    os.kill(tower.pid, signal.SIGSTOP)
    try:
        net = tower.net
        listing = partial(net.ls, "tower:")
        for question in (net.status, net.doctor, net.jobs, net.members, listing, partial(net.run, "true")):
            with pytest.raises(Unreachable) as silent:
                question()
            assert silent.value.sentence == "The node of tower runs, and does not answer."
            assert "commonhold down" in silent.value.hint
    finally:
        os.kill(tower.pid, signal.SIGCONT)
    assert tower.net.status().running
