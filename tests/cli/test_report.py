"""`commonhold report`: what it writes, what it replaces, and what it leaves alone."""

from __future__ import annotations

import os

import pytest

from commonhold.cli.report import _replaceable
from commonhold.errors import Conflict
from commonhold.plan.trials.trial import written

from ..conftest import town
from ..plan.trials import EVEN, HOT, SERVER, simulated

EARLIER = '<meta name="generator" content="commonhold report"><a href="report-cost.csv">report-cost.csv</a>'
LONG = "a-computer-with-a-name-that-is-as-long-as-a-name-may-be-and-then-some"


@pytest.fixture
def trial(tmp_path):
    file = tmp_path / "vergleich für casa.json"
    file.write_bytes(written(simulated(3, (1, 4), (SERVER, EVEN, HOT), 2, (LONG,), 40)))
    return file


def test_a_page_and_its_tables_and_nothing_else_is_touched(cli, trial, tmp_path):
    place = tmp_path / "docs é"
    place.mkdir()
    (place / "mine.txt").write_text("mine")
    (place / "report.html").write_text(EARLIER)
    (place / "report-cost.csv").write_text("old")
    seen = cli("--json", "report", "--trial", trial, "--save", place)
    assert seen.code == 0, seen.err
    there = {str(each) for each in place.iterdir()}
    assert there == {seen.document["page"], *seen.document["tables"], str(place / "mine.txt")}
    page = (place / "report.html").read_text()
    assert (place / "report-cost.csv").read_text().startswith("shape,computers,"), "an earlier report is replaced"
    assert page.count('class="claim"') == 11
    assert len(page) < 1_000_000


def test_what_is_no_report_of_ours_stays(cli, tmp_path):
    page, table = tmp_path / "home.html", tmp_path / "home-cost.csv"
    table.write_text("mine")
    seen = cli("report", "--save", page)
    assert (seen.code, page.exists()) == (6, False)
    assert "home-cost.csv is there already, and no earlier report wrote it" in seen.err
    page.write_text("<title>my own</title>")
    assert cli("report", "--save", page).code == 6
    assert (page.read_text(), table.read_text()) == ("<title>my own</title>", "mine")
    (tmp_path / "file").write_text("")
    assert cli("report", "--save", tmp_path / "file" / "home.html").code == 3


def test_a_link_to_nowhere_is_not_replaced_and_a_pipe_not_waited_for(cli, tmp_path):
    (tmp_path / "report-cost.csv").symlink_to(tmp_path / "unmounted")
    with pytest.raises(Conflict, match=r"report-cost\.csv is there already"):
        _replaceable(tmp_path / "report.html", ["report.html", "report-cost.csv"])
    os.mkfifo(tmp_path / "home.html")
    assert "home.html is there already" in cli("report", "--save", tmp_path / "home.html").err


def test_what_cannot_be_read_is_said_in_one_sentence(cli, tmp_path):
    (tmp_path / "cat.jpg").write_bytes(b"\xff\xd8\xff")
    assert "This is no comparison" in cli("report", "--trial", tmp_path / "cat.jpg").err
    assert cli("report", "--trial", tmp_path / "nowhere.json").code == 3
    assert cli("report", tmp_path / "nowhere.toml").code == 3
    with (tmp_path / "large.json").open("wb") as large:
        large.truncate(2**26 + 1)
    assert "is larger than" in cli("report", "--trial", tmp_path / "large.json").err


def test_of_this_network_it_tells_who_could_destroy_what(tmp_path):
    (tmp_path / "fotos").mkdir()
    (tmp_path / "fotos" / "cat.jpg").write_bytes(b"cat")
    with town(tmp_path) as make:
        tower = make("tower", "ann")
        tower.create("casa")
        tower.typed("share", tmp_path / "fotos")
        told = tower.json("report", "--save", tmp_path / "home.html")
    assert str(tmp_path / "home-here.csv") in told["tables"]
    assert "this network,tower's key,1,1,1,key,ann,critical," in (tmp_path / "home-here.csv").read_text()
    assert "computers in the network,1," in (tmp_path / "home-values.csv").read_text()
