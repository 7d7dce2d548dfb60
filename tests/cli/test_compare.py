"""`compare`: what makes no sense is one sentence, and a real network is left as it was."""

from __future__ import annotations

import json

import pytest

from commonhold.cli.compare import _banded, _duration
from commonhold.plan.trials.trial import Band, band

from ..conftest import town

NONSENSE = [
    (["--computers", "2"], "3<=x<=200"),
    (["--people", "2,0"], "“2,0” are no numbers of people; write 2,4,8, each from 1 to 2000."),
    (["--people", "some"], "“some” are no numbers of people"),
    (["--people", "2,,4"], "“2,,4” are no numbers of people"),
    (["--people", "2,123456789"], "“2,123456789” are no numbers of people"),
    (["--power", "nan"], "“nan” is no number."),
    (["--think", "nan"], "“nan” is no number."),
    (["--link", "fast"], "“fast” is no rate; write 20Mbit, 1Gbit, or a number of Mbit/s."),
    (["--link", "-3"], "“-3” is no rate"),
    (["--power", "-1"], "0<=x<=64"),
    (["--placement", "hot"], "“hot” is no placement; write even, or hot:0.5 with a part between 0 and 1."),
    (["--placement", "hot:1.5"], "“hot:1.5” is no placement"),
    (["--placement", "hot:0.1", "--computers", "4"], "hot:0.1 is less than an equal part of 4 computers."),
    (["--workload", "nothing.toml"], "“nothing.toml” is no workload, and no file."),
    (["--workload", "compute", "--think", "0"], "Tasks shrink with --think"),
    (["--think", "-1"], "0<=x<=3600"),
    (["--repeats", "0"], "1<=x<=100"),
    (["--server", "tower"], "--server, --share and --yes are for --here."),
    (["--here"], "Which computer is taken for the server?"),
    (["--here", "--server", "tower", "--link", "5"], "--link is for computers of this machine"),
]


@pytest.mark.parametrize(("typed", "sentence"), NONSENSE, ids=[" ".join(typed) for typed, _ in NONSENSE])
def test_nonsense_is_one_sentence(cli, typed, sentence):
    told = cli("--json", "compare", *typed)
    assert told.code == 2
    assert sentence in told.document["error"]


def test_a_scenario_says_what_is_compared(cli, tmp_path):
    file = tmp_path / "büro à trois.toml"
    file.write_text('workload = "media"\n[fleet]\ncomputers = 1\n')
    told = cli("compare", "--workload", file)
    assert told.code == 2
    assert "1 computers: from 3 to 200 can be compared." in told.err
    file.write_text("workload = 3\n")
    assert "workload is the name of one." in cli("compare", "--workload", file).err


def test_what_is_there_and_no_comparison_is_not_replaced(cli, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("mine\n")
    told = cli("compare", "--save", file)
    assert told.code == 6
    assert "is there already, and is no comparison." in told.err
    assert file.read_text() == "mine\n"
    assert "there is no folder for it" in cli("compare", "--save", tmp_path / "no" / "trial.json").err
    assert "/dev/zero is no file." in cli("compare", "--save", "/dev/zero").err


def test_a_band_shows_as_many_digits_as_it_has():
    assert _banded(band([9.0, 9.2, 9.4])) == "9.20 ± 0.50"
    assert _banded(Band(0.2514, 0.2, 0.3), 1000) == "251 ± 49"
    assert _banded(band([12.34])) == "12.3"
    assert (_duration(59), _duration(754)) == ("59 seconds", "13 minutes")


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """tower and nas, which share `files` with everybody, desk, which does not, and laptop, where it is typed."""
    folder = tmp_path_factory.mktemp("office")
    with town(folder) as make:
        computers = [make("tower"), make("nas", "bob"), make("desk", "carol"), make("laptop", "dora")]
        tower, nas, *others = computers
        tower.create("office")
        for each in (nas, *others):
            each.join(tower)
        for each in computers:
            each.knows("tower", "nas", "desk", "laptop")
        for each in (tower, nas):
            (each.folder / "files").mkdir()
            each.net.share(each.folder / "files", "files", to="members", verb="write")
        yield computers


def test_on_real_computers_it_asks_first_and_leaves_nothing(office, tmp_path):
    tower, nas, _, laptop = office
    few = ["--quick", "--people", 1, "--think", 0.02, "--repeats", 1, "--requests", 6]
    asked = laptop.typed("compare", "--here", "--server", "tower", *few, code=130, input="n\n")
    assert "Ask tower, nas for" in asked.err
    assert "desk cannot be asked: dora may not add to files" in asked.err
    trial = laptop.json("compare", "--here", "--server", "tower", "--yes", *few, "--save", tmp_path / "trial.json")
    assert trial == json.loads((tmp_path / "trial.json").read_text())
    assert trial["circumstances"]["caps"] == "real"
    shapes = [(point["arrangement"]["shape"], point["people"]) for point in trial["points"]]
    assert shapes == [("client-server", 1), ("peer-to-peer", 1)]
    repeats = [(point["arrangement"]["shape"], each) for point in trial["points"] for each in point["repeats"]]
    assert all(each["errors"] == 0 and each["requests"] > 0 for _, each in repeats)
    for shape, others in (("client-server", 0), ("peer-to-peer", 1)):
        served = [each["served"][1]["requests"] for which, each in repeats if which == shape]
        assert min(sum(served), 1) == others, served
    for each in (tower, nas):
        assert each.net.ls(f"{each.name}:files") == []


def test_on_real_computers_it_needs_somebody_to_ask(office):
    tower, _, _, laptop = office
    told = laptop.json("compare", "--here", "--server", "laptop", "--yes", code=2)
    assert told["error"] == "laptop is this computer, and would be asked over no link."
    refused = laptop.json("compare", "--here", "--server", "desk", "--yes", code=4)
    assert refused["error"].startswith("desk cannot be asked: dora may not")
    assert tower.json("compare", "--here", "--server", "nas", "--yes", code=2)["error"].startswith("nas alone can be")
