"""`commonhold advise`: with nothing but questions, with flags, with files; docs/api.md has it with a network."""

from __future__ import annotations

import pytest

from commonhold.plan.trials.trial import written

from ..plan.test_felt import EVEN, FLAT, SERVER, curve, trial

QUICK = ("--computers", 3)


def test_it_works_at_once_and_names_what_it_assumes(cli):
    seen = cli("advise")
    assert seen.code == 0
    assert seen.lines[0] == "Peer-to-peer, for 5 computers and 5 people: it is cheaper."
    assert "Assumed:" in seen.lines
    assert any("(rate): 30, a wage" in line for line in seen.lines)
    assert any(line.startswith("Measure first: ") for line in seen.lines)


def test_five_questions_on_a_terminal(terminal):
    seen = terminal("advise", keys=b"\r\r\r\r\r\r", asks=b"How many computers")
    assert seen.code == 0
    for question in ("How many computers", "What for", "link", "busiest", "server", "shut anybody out"):
        assert question in seen.out
    assert "Peer-to-peer, for 5 computers" in seen.out


def test_flags_are_what_is_told(cli):
    seen = cli("--json", "advise", *QUICK, "--strict", "--workload", "media")
    assert seen.document["verdict"] == "client-server"
    assert not [each for each in seen.document["assumptions"] if "(computers)" in each]
    assert [score["about"] for score in seen.document["scores"]] == ["performance", "cost", "exposure", "accidents"]


def test_the_formulas_stand_below_when_they_are_asked_for(cli):
    assert "mean value analysis" not in cli("advise", *QUICK).out
    assert "knee N* = (D + Z) / Dmax" in cli("advise", *QUICK, "--explain").out


def test_a_scenario_is_saved_read_changed_and_compared(cli, tmp_path):
    today, later = tmp_path / "heute Büro.toml", tmp_path / "später.toml"
    assert cli("advise", *QUICK, "--set", "rate=50", "--save", today).code == 0
    assert '[money.rate]\nvalue = 50.0\norigin = "told"' in today.read_text()
    assert cli("advise", "--computers", 9, "--save", today).code == 6, "it would be lost"
    again = cli("advise", today, "--set", "rate=50", "--save", today)
    assert (again.code, again.lines[0].partition(": ")[0]) == (0, "Peer-to-peer, for 3 computers and 3 people")
    grown = cli("advise", today, "--computers", 40, "--workload", "media", "--save", later)
    assert "40 computers and 40 people" in grown.lines[0]
    seen = cli("advise", "--diff", today, later)
    assert seen.lines[0].startswith(f"{today}: Peer-to-peer")
    assert "  computers: 3 (told), 40 (told)" in seen.lines
    assert "  workload: office, media" in seen.lines
    assert "Nothing differs." in cli("advise", "--diff", today, today).out
    assert len(cli("--json", "advise", "--diff", today, later).document) == 2


def test_a_warning_is_printed_with_the_result(cli):
    seen = cli("advise", "--computers", 90, "--set", "measured=10")
    assert seen.code == 0
    assert "warning: People: 90 is more than 4 times the largest load that was measured (10)" in seen.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--computers", -3), 2, "computers = -3 is out of bounds"),
        (("--computers", 2.5), 2, "no whole number"),
        (("--hot", 2), 2, "lies between 0 and 1"),
        (("--set", "rat=3"), 2, "did you mean rate?"),
        (("--set", "rate"), 2, "gives no value a number"),
        (("--workload", "games"), 2, "games"),
        (("nowhere.toml",), 3, "nowhere.toml cannot be read: No such file"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_sentence(cli, words, code, said):
    seen = cli("advise", *words)
    assert seen.code == code
    assert said in seen.err
    assert seen.out == ""


def test_a_file_that_is_no_scenario(cli, tmp_path):
    picture, large = tmp_path / "cat.jpg", tmp_path / "large.toml"
    picture.write_bytes(b"\xff\xd8\xff")
    large.write_bytes(b"#" * (2**16 + 1))
    assert "is no text" in cli("advise", picture).err
    assert "is larger than" in cli("advise", large).err
    assert "is larger than" in cli("advise", "/dev/zero").err
    assert cli("advise", tmp_path).code == 3
    assert cli("advise", *QUICK, "--save", tmp_path).code == 3


def test_what_textbooks_claim_is_told_with_figures(cli, tmp_path):
    shown = tmp_path / "Vergleich März.json"
    shown.write_bytes(written(trial(curve(EVEN, *FLAT), curve(SERVER, *FLAT))))
    seen = cli("advise", "--claims", "--trial", shown)
    assert len(seen.lines) == 22
    assert seen.lines[2] == "2. Among peers there is trouble with as few as ten clients. Refuted."
    assert "among peers spread evenly never up to 16 people" in seen.lines[3]
    assert "No comparison shows it yet: commonhold compare" in seen.lines[5]
    found = cli("advise", "--trial", shown)
    assert (found.code, "add --claims" in found.err) == (2, True)
    assert "is no comparison" in cli("advise", "--claims", "--trial", __file__).err
