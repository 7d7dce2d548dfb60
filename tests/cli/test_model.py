"""`commonhold model`: both shapes, for the people that are named; docs/api.md has it with a network."""

from __future__ import annotations

import msgspec
import pytest

from commonhold.cli.model import listed
from commonhold.errors import WrongUsage
from commonhold.plan.trials.trial import written

from ..plan.made import made

MEDIA = ("--computers", 12, "--workload", "media", "--link", 100)


def test_both_shapes_with_bounds_and_costs(cli):
    seen = cli("model", *MEDIA, "--people", "1,12")
    assert seen.code == 0
    assert "client-server: people begin to wait for one another at 36 of them" in seen.lines
    assert any(line.split()[:2] == ["12", "0.575"] for line in seen.lines)
    assert "A gigabyte for the 11 others: 880 s from a server" in seen.out
    assert "With 12 computers and 12 people, in 5 years a server costs" in seen.out
    assert "simulated" not in seen.out


def test_percentiles_and_a_file(cli, tmp_path):
    file = tmp_path / "Büro morgen.toml"
    assert cli("advise", *MEDIA, "--save", file).code == 0
    seen = cli("--json", "model", file, "--people", 12, "--percentiles")
    (_, server) = seen.document["courses"]
    assert server["shape"] == "client-server"
    assert 2 < server["expected"][0]["spread"]["p95"] < 3
    assert "95 % below" in cli("model", file, "--people", 12, "--percentiles").out


def test_tasks_and_the_people_who_are_usual(cli):
    seen = cli("model", "--workload", "compute", "--set", "measured=1")
    assert [line.split()[0] for line in seen.lines if line.startswith("  ") and line.split()[0].isdigit()] == [
        "1", "2", "4", "5", "8",
    ] * 2  # fmt: skip
    assert "of the peers' 20 processors busy" in seen.out
    assert "warning: People: 8 is more than 4 times the largest load that was measured (1)" in seen.out


def test_numbers_of_people_in_one_word():
    assert listed("1..3, 8,2") == [1, 2, 3, 8]
    assert listed("40") == [40]


@pytest.mark.parametrize("text", ["", "x", "3..1", "0", "1..", "-3", "1..1000000", "9999999", "1.5"])
def test_what_is_no_number_of_people(text):
    with pytest.raises(WrongUsage):
        listed(text)


def test_what_makes_no_sense_is_said_in_one_sentence(cli):
    seen = cli("model", "--people", "5..2")
    assert (seen.code, seen.out) == (2, "")
    assert "“5..2”: numbers of people rise" in seen.err
    assert cli("model", "nowhere.toml").code == 3


def test_a_comparison_beside_what_was_predicted(cli, tmp_path):
    file = tmp_path / "Vergleich im Büro.json"
    trial = made((1, 4, 64), requests=60, repeats=2)
    file.write_bytes(
        written(msgspec.structs.replace(trial, points=tuple(each for each in trial.points if not each.arrangement.hot)))
    )
    seen = cli("model", "--trial", file)
    assert seen.code == 0
    assert "Calibrated with one person and 64 at the server." in seen.out
    assert len([line for line in seen.lines if line.split()[:2] in (["1", "*"], ["64", "*"])]) == 2
    assert "throughput: 4 points, off by" in seen.out
    assert "scalability" not in seen.out, "three points fit no law"
    assert cli("--json", "model", "--trial", file).document["calibration"]["people"] == 64
    seen = cli("model", "--trial", file, "--people", 3)
    assert (seen.code, seen.out) == (2, "")
    assert "--trial stands alone" in seen.err
